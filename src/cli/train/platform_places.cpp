// SPDX-License-Identifier: Apache-2.0
#include "cli/train/platform_places.hpp"

#include "trireme/base/error.hpp"
#include "trireme/platform/local_path.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace trireme::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view channel_prefix = "channel:";

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string named(const std::map<std::string, platform::InputChannel>& inputs) {
  std::string list;
  for (const auto& [name, channel] : inputs) list += (list.empty() ? "" : ", ") + name;
  return list.empty() ? "none" : list;
}

/// Ranks cannot read it as it is: a pipe is read once, by one; a part of a whole is nobody's data set.
bool must_be_brought(const platform::InputChannel& channel) {
  return channel.mode == platform::InputChannel::Mode::pipe || channel.sharded;
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

void note(TrainOptions& options, const std::string& what) {
  options.from_platform += (options.from_platform.empty() ? "" : ", ") + what;
}

}  // namespace

std::string PlatformPlaces::of_trial(const std::string& folder) const {
  if (!cluster_.tuning || !is_plain_name(cluster_.tuning->trial_id)) return folder;
  const fs::path path(folder), trial(cluster_.tuning->trial_id);
  if (std::find(path.begin(), path.end(), trial) != path.end()) return folder;
  return (path / trial).string();
}

std::optional<std::string> PlatformPlaces::checkpoint_dir() const {
  if (!cluster_.checkpoint_dir) return std::nullopt;
  return of_trial(*cluster_.checkpoint_dir);
}

std::optional<std::string> PlatformPlaces::model_dir() const {
  if (!cluster_.model_dir || cluster_.platform == "sagemaker") return cluster_.model_dir;
  return of_trial(*cluster_.model_dir);
}

std::string PlatformPlaces::path_of(const char* flag, const std::string& text) const {
  try {
    return platform::local_path(text, root_);
  } catch (const Exception& refusal) {
    fail(refusal.error().code, std::string(flag) + ": " + refusal.error().message);
  }
}

/// The name of the channel that `path` means, which begins with it; null: none. "channel:NAME" means one in any case; without the
/// prefix what exists under that path is meant first.
const std::string* PlatformPlaces::channel_of(const char* flag, const std::string& path) const {
  const bool is_explicit = path.rfind(channel_prefix, 0) == 0;
  if (!is_explicit && (path.empty() || path.front() == '/' || is_there(path))) return nullptr;
  const std::size_t first = is_explicit ? channel_prefix.size() : 0;
  const auto found = cluster_.inputs.find(path.substr(first, path.find('/') - first));
  if (found != cluster_.inputs.end()) return &found->first;
  if (is_explicit)
    refuse(std::string(flag) + ": there is no input " + path + "; this platform's channels: " + named(cluster_.inputs));
  return nullptr;
}

void PlatformPlaces::settle_dataset(const char* flag, DatasetSpec& dataset, DataOptions& data) const {
  if (dataset.kind == DatasetKind::images || dataset.kind == DatasetKind::synthetic) return;
  const std::string* const name = channel_of(flag, dataset.path);
  if (name == nullptr) {
    dataset.path = path_of(flag, dataset.path);
    return;
  }
  const platform::InputChannel& channel = cluster_.inputs.at(*name);
  const std::size_t slash = dataset.path.find('/');
  const std::string below = slash == std::string::npos ? std::string() : dataset.path.substr(slash);
  if (!must_be_brought(channel)) {
    dataset.path = channel.path + below;
    return;
  }
  if (!below.empty() && below != "/")
    refuse(std::string(flag) + ": no single file can be taken of channel " + *name + ", which is " +
           (channel.sharded ? "sharded" : "a pipe"));
  dataset.channel = *name;
  dataset.path = std::string(channel_prefix) + *name;
  data.channels.emplace(*name, channel);
}

/// The folder of an image set is the channel train or training, or the only one there is.
void PlatformPlaces::settle_images(TrainOptions& options) const {
  const std::string* name = nullptr;
  std::string below;
  if (options.data_dir) {
    name = channel_of("--data-dir", *options.data_dir);
    if (name == nullptr) {
      options.data_dir = path_of("--data-dir", *options.data_dir);
      return;
    }
    if (const auto slash = options.data_dir->find('/'); slash != std::string::npos)
      below = options.data_dir->substr(slash);
  } else {
    for (const char* usual : {"train", "training"}) {
      if (name == nullptr && cluster_.inputs.count(usual) != 0) name = &cluster_.inputs.find(usual)->first;
    }
    if (name == nullptr && cluster_.inputs.size() == 1) name = &cluster_.inputs.begin()->first;
    if (name == nullptr && cluster_.inputs.empty()) return;
    if (name == nullptr)
      refuse("--data-dir: this job has the channels " + named(cluster_.inputs) + ": say which holds the images");
  }
  const platform::InputChannel& channel = cluster_.inputs.at(*name);
  if (must_be_brought(channel)) {
    refuse("--data-dir: images cannot be read from channel " + *name + ", which is " +
           (channel.sharded ? "sharded" : "a pipe") + ": give every host all files (File or FastFile)");
  }
  const bool was_typed = options.data_dir.has_value();
  options.data_dir = channel.path + below;
  if (!was_typed) note(options, "--data-dir " + *options.data_dir);
}

void PlatformPlaces::settle(TrainOptions& options) const {
  CheckpointChoice& checkpoints = options.checkpoints;
  checkpoints.restart_count = cluster_.restart_count;
  if (checkpoints.folder) {
    if (checkpoints.folder == checkpoint_dir()) note(options, "--checkpoint-dir " + *checkpoints.folder);
    checkpoints.folder = path_of("--checkpoint-dir", *checkpoints.folder);
  }
  if (options.model_dir) {
    options.model_dir = path_of("--model-dir", *options.model_dir);
  } else if (const auto folder = model_dir()) {
    options.model_dir = path_of("--model-dir", *folder);
    note(options, "--model-dir " + *options.model_dir);
  }
  if (options.trace) options.trace = path_of("--trace", *options.trace);
  if (options.data.dataset.kind == DatasetKind::images) settle_images(options);
  settle_dataset("--dataset", options.data.dataset, options.data);
  if (options.data.test) settle_dataset("--test-dataset", *options.data.test, options.data);
  std::string names;
  for (const auto& [name, value] : cluster_.hyperparameters) names += (names.empty() ? "" : ", ") + name;
  if (!names.empty()) note(options, "the hyperparameters " + names);
  if (!options.from_platform.empty())
    options.from_platform = "from " + cluster_.platform + ": " + options.from_platform;
}

}  // namespace trireme::cli
