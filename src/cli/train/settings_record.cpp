// SPDX-License-Identifier: Apache-2.0
#include "cli/train/settings_record.hpp"

#include "cli/train/settings_agreement.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace trireme::cli {
namespace {

/// What may be told otherwise when training goes on: how long, how fast, how it is carried out, what is said meanwhile. All else
/// makes the state another's, or the samples.
constexpr std::array<std::string_view, 50> may_change{"--epochs",
                                                      "--sync",
                                                      "--consistency",
                                                      "--servers",
                                                      "--server-optimizer",
                                                      "--backup-workers",
                                                      "--staleness-aware",
                                                      "--server-replicas",
                                                      "--server-split",
                                                      "--fallback",
                                                      "--device",
                                                      "--steps",
                                                      "--batch-size-per-rank",
                                                      "--logical-shards",
                                                      "--accumulate",
                                                      "--learning-rate",
                                                      "--momentum",
                                                      "--nesterov",
                                                      "--weight-decay",
                                                      "--l2-penalty",
                                                      "--lr-schedule",
                                                      "--warmup-steps",
                                                      "--warmup-steps (gpt, unless given)",
                                                      "--lr-final",
                                                      "--lr-power",
                                                      "--lr-interval",
                                                      "--lr-decay",
                                                      "--lr-scaling",
                                                      "--lr-base-batch",
                                                      "--clip-norm",
                                                      "--clip-value",
                                                      "--bucket-bytes",
                                                      "--no-overlap",
                                                      "--order",
                                                      "--eval-every",
                                                      "--keep-best",
                                                      "--early-stop",
                                                      "--log-every",
                                                      "--dropout",
                                                      "--recompute",
                                                      "--test-dataset",
                                                      "--sync-batch-norm",
                                                      "--zero",
                                                      "--shard-group",
                                                      "--offload",
                                                      "--mesh",
                                                      "--pipeline-schedule",
                                                      "--micro-batches",
                                                      "--stage-layers",
                                                      "--sequence-parallel"};

/// Of this start alone, or told by another line: not told again when it goes on.
constexpr std::array<std::string_view, 7> of_this_start{
    "--checkpoint-dir", "--checkpoint-every", "--checkpoint-keep", "--checkpoint-keep-every",
    "--stop-after",     "--model-dir",        arithmetic_of_mesh};

template <class List>
bool is_among(const List& list, std::string_view flag) {
  return std::find(list.begin(), list.end(), flag) != list.end();
}

std::optional<std::string> saved_setting(const checkpoint::Manifest& manifest, const std::string& flag) {
  const auto found = manifest.values.find(std::string(SettingsRecord::section) + "/" + flag);
  if (found == manifest.values.end()) return std::nullopt;
  return checkpoint::text_of(found->second);
}

}  // namespace

void SettingsRecord::save(checkpoint::StateWriter& writer) const {
  for (const auto& [flag, value] : settings_) writer.value(flag, value);
}

void SettingsRecord::check_same_job(const checkpoint::Manifest& manifest, const std::string& folder) const {
  for (const auto& [flag, value] : settings_) {
    if (is_among(may_change, flag) || is_among(of_this_start, flag)) continue;
    const auto saved = saved_setting(manifest, flag);
    if (!saved || *saved == value) continue;
    fail(ErrorCode::invalid_argument, "--checkpoint-dir " + folder + " holds the checkpoints of another job: " + flag +
                                          " was '" + *saved + "' there and is '" + value +
                                          "' here; give another folder, or empty this one");
  }
}

std::string SettingsRecord::changes_since(const checkpoint::Manifest& manifest) const {
  std::string changes;
  for (const auto& [flag, value] : settings_) {
    if (is_among(of_this_start, flag)) continue;
    const auto saved = saved_setting(manifest, flag);
    if (!saved || *saved == value) continue;
    changes += (changes.empty() ? "" : ", ") + flag + " " + value + " (before: " + *saved + ")";
  }
  return changes;
}

std::string SettingsRecord::now(const std::string& flag) const {
  for (const auto& [name, value] : settings_) {
    if (name == flag) return value;
  }
  return {};
}

std::optional<std::string> SettingsRecord::former(const checkpoint::Manifest& manifest, const std::string& flag) const {
  const auto saved = saved_setting(manifest, flag);
  return saved && *saved != now(flag) ? saved : std::nullopt;
}

}  // namespace trireme::cli
