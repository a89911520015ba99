// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/folder.hpp"

#include "checkpoint/agreement.hpp"
#include "checkpoint/journal.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/together.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <set>
#include <span>

namespace trireme::checkpoint {
namespace {

std::uint64_t unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

std::uint64_t random_id() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

/// The newest manifest that can be read, complete or not.
const Manifest* newest(const Journal::Contents& contents) {
  const Manifest* newest = nullptr;
  for (const Journal::Item& item : contents.items) {
    const auto* manifest = std::get_if<Manifest>(&item.entry);
    if (manifest != nullptr && (newest == nullptr || id_of(*newest) < id_of(*manifest))) newest = manifest;
  }
  return newest;
}

}  // namespace

Folder Folder::open(Communicator communicator, FileSystem& files, const FolderOptions& options) {
  Folder folder(std::move(communicator), files, options);
  do_together(folder.communicator_, "checkpoint folder", [&] {
    files.make_folder(options.path);
    if (folder.communicator_.rank() != 0 || !options.accept) return;
    const Journal::Contents contents = Journal(files, options.path).read();
    if (const Manifest* manifest = newest(contents)) options.accept(*manifest);
  });
  folder.find_whether_shared();
  folder.claim();
  return folder;
}

/// Every rank looks for a file that rank 0 has just written.
void Folder::find_whether_shared() {
  std::uint64_t probe = random_id();
  communicator_.broadcast(std::span(&probe, 1), 0, {.label = "checkpoint probe"});
  const std::string path = options_.path + "/probe-" + std::to_string(probe);
  const bool is_first = communicator_.rank() == 0;
  do_together(communicator_, "checkpoint probe", [&] {
    if (is_first) files_->create(path)->sync();
  });
  std::int32_t sees = files_->size(path) ? 1 : 0;
  communicator_.all_reduce(std::span(&sees, 1), minimum, {.label = "checkpoint probe"});
  is_shared_ = sees != 0;
  do_together(communicator_, "checkpoint probe", [&] {
    if (is_first) files_->remove(path);
  });
}

void Folder::claim() {
  std::vector<std::byte> claimed;
  do_together(communicator_, "checkpoint attempt", [&] {
    if (communicator_.rank() != 0) return;
    Attempt attempt{.generation = options_.restart_count + 1,
                    .id = random_id(),
                    .started_ms = unix_ms(),
                    .host = options_.host,
                    .job = options_.job};
    Journal(*files_, options_.path).claim(attempt, is_shared_);
    claimed = encode(attempt);
  });
  claimed = communicator_.broadcast_bytes(claimed, 0, {.label = "checkpoint attempt"});
  attempt_ = std::get<Attempt>(decode(claimed, "rank 0's attempt"));
}

std::vector<Manifest> Folder::complete() {
  Journal::Contents contents;
  do_together(communicator_, "checkpoint journal", [&] { contents = Journal(*files_, options_.path).read(); });
  std::vector<Sighting> mine;
  for (const Journal::Damage& each : contents.damaged) mine.push_back(Sighting::of_damage(each.file, each.what));
  std::vector<const Manifest*> manifests;
  for (const Journal::Item& item : contents.items) {
    const auto* manifest = std::get_if<Manifest>(&item.entry);
    if (manifest == nullptr) continue;
    manifests.push_back(manifest);
    mine.push_back(Sighting::of(*manifest, missing_file(*files_, options_.path, *manifest)));
  }
  const Agreement agreement = agree(communicator_, mine, options_.path);
  for (const std::string& problem : agreement.problems) warn(problem);
  std::vector<Manifest> complete;
  for (const CheckpointId& id : agreement.complete) {
    const auto found =
        std::find_if(manifests.begin(), manifests.end(), [&](const Manifest* each) { return id_of(*each) == id; });
    complete.push_back(**found);
  }
  return complete;
}

std::optional<Manifest> Folder::resume(const TrainingState& state) {
  std::optional<Error> last;
  for (Manifest& manifest : complete()) {
    try {
      load(communicator_, *files_, options_.path, manifest, state);
      return std::move(manifest);
    } catch (const Exception& failure) {
      if (failure.error().code != ErrorCode::corrupt && failure.error().code != ErrorCode::system) throw;
      last = failure.error();
      warn("the checkpoint of step " + std::to_string(manifest.step) + " is damaged: " + last->message);
    }
  }
  if (!last) return std::nullopt;
  fail(ErrorCode::corrupt, options_.path + ": no checkpoint there is good; the last one tried: " + last->message);
}

void Folder::tidy() {
  do_together(communicator_, "checkpoint leftovers", [&] {
    if (is_shared_ && communicator_.rank() != 0) return;
    const Journal journal(*files_, options_.path);
    const Journal::Contents contents = journal.read();
    if (!contents.damaged.empty()) return;  // which may be the manifest of what would be removed
    std::set<std::string> named;
    for (const Journal::Item& item : contents.items) {
      const auto* manifest = std::get_if<Manifest>(&item.entry);
      if (manifest == nullptr) continue;
      for (const PartRecord& part : manifest->parts) named.insert(part.file);
      named.insert(manifest->json_file);
    }
    for (const std::string& file : files_->list(journal.folder())) {
      if (file.starts_with("draft-")) files_->remove(journal.path(file));
    }
    for (const std::string& step : files_->list(options_.path)) {
      if (!is_step_folder(step)) continue;
      for (const std::string& file : files_->list(options_.path + "/" + step)) {
        const bool is_own = file.starts_with(attempt_tag(attempt_));
        if (file.starts_with("g") && !is_own && !named.contains(step + "/" + file))
          files_->remove(options_.path + "/" + step + "/" + file);
      }
      files_->remove_folder(options_.path + "/" + step);
    }
  });
}

}  // namespace trireme::checkpoint
