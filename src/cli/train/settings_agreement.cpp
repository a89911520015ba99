// SPDX-License-Identifier: Apache-2.0
#include "cli/train/settings_agreement.hpp"

#include "trireme/base/error.hpp"

#include <charconv>
#include <span>
#include <string_view>
#include <type_traits>

namespace trireme::cli {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

/// Every bit of a number.
template <class Number>
  requires std::is_arithmetic_v<Number> std::string text_of(Number value) {
    if constexpr (std::is_same_v<Number, bool>) {
      return value ? "on" : "off";
    } else {
      char text[64];
      return {text, std::to_chars(text, text + sizeof text, value).ptr};
    }
  }
// Names, not numbers: a checkpoint keeps them, and people read them.
std::string text_of(ScheduleKind value) { return std::string(name_of(value)); }
std::string text_of(ReductionOrder value) { return std::string(name_of(value)); }
std::string text_of(Precision value) {
  return value == Precision::f32 ? "f32" : value == Precision::bf16 ? "bf16" : "f16";
}
std::string text_of(LossKind value) { return value == LossKind::squared ? "squared" : "cross_entropy"; }
std::string text_of(BatchScaling value) {
  return value == BatchScaling::linear ? "linear" : value == BatchScaling::square_root ? "square_root" : "none";
}
std::string text_of(DatasetKind value) {
  switch (value) {
    case DatasetKind::images: return "images";
    case DatasetKind::text: return "text";
    case DatasetKind::tokens: return "tokens";
    case DatasetKind::csv: return "csv";
    case DatasetKind::libsvm: return "libsvm";
    case DatasetKind::synthetic: return "synthetic";
  }
  return "";
}
std::string text_of(const std::string& value) { return value; }
template <class Value>
std::string text_of(const std::optional<Value>& value) {
  return value ? text_of(*value) : "unset";
}
std::string text_of(const std::vector<std::size_t>& values) {
  std::string text;
  for (const std::size_t each : values) text += (text.empty() ? "" : ",") + std::to_string(each);
  return text;
}

/// Replicas and stages change no bit.
std::string arithmetic_of(const TrainOptions& options) {
  if (!options.mesh || !options.mesh->cuts_model()) return "whole";
  return "tensor=" + std::to_string(options.mesh->ranks("tensor")) +
         (options.mesh->sequence_parallel ? " by positions in " : " in ") +
         std::to_string(options.mesh->schedule.micro_batches) + " micro-batches";
}

/// Nothing of the usual way, so that checkpoints of jobs that knew no other go on.
void add_sync(const SyncChoice& sync, Settings& settings) {
  if (sync.falls_back) settings.emplace_back("--fallback", "ps");
  if (!sync.on_servers) return;
  const auto add = [&](const char* flag, const auto& value) { settings.emplace_back(flag, text_of(value)); };
  add("--sync", std::string("ps"));
  add("--consistency", sync.consistency.to_string());
  add("--servers", sync.servers);
  add("--server-optimizer", sync.server_optimizer);
  add("--backup-workers", sync.backup_workers);
  add("--staleness-aware", sync.staleness_aware);
  add("--server-replicas", sync.replicas);
  if (sync.splits_optimally) add("--server-split", std::string("optimal"));
}

void add_training(const TrainOptions& options, Settings& settings) {
  const auto add = [&](const char* flag, const auto& value) { settings.emplace_back(flag, text_of(value)); };
  add("--epochs", options.epochs);
  add("--steps", options.steps);
  add("--batch-size", options.batch_size);
  add("--batch-size-per-rank", options.batch_size_per_rank);
  add("--seed", options.seed);
  add("--logical-shards", options.logical_shards);
  add("--accumulate", options.accumulate);
  add("--optimizer", options.optimizer.name);
  add("--learning-rate", options.optimizer.learning_rate);
  add("--momentum", options.optimizer.momentum);
  add("--nesterov", options.optimizer.nesterov);
  add("--weight-decay", options.optimizer.weight_decay);
  add("--l2-penalty", options.optimizer.l2_penalty);
  add("--lr-schedule", options.schedule.kind);
  add("--warmup-steps", options.schedule.warmup_steps);
  add("--warmup-steps (gpt, unless given)", options.warmup_if_long);
  add("--lr-final", options.schedule.final_factor);
  add("--lr-power", options.schedule.power);
  add("--lr-interval", options.schedule.interval);
  add("--lr-decay", options.schedule.decay);
  add("--lr-scaling", options.lr_scaling);
  add("--lr-base-batch", options.lr_base_batch);
  add("--clip-norm", options.clip_norm);
  add("--clip-value", options.clip_value);
  add("--bucket-bytes", options.bucket_bytes.value);
  add_sync(options.sync, settings);
  add("--zero", options.zero);
  add("--shard-group", options.shard_group);
  add("--mesh", options.mesh ? layout::to_text(options.mesh->axes) : "unset");
  add("--pipeline-schedule", options.mesh ? options.mesh->schedule_name : "unset");
  add("--micro-batches", options.mesh ? text_of(options.mesh->schedule.micro_batches) : "unset");
  if (options.mesh && !options.mesh->layers.empty()) add("--stage-layers", options.mesh->layers);
  if (options.mesh && options.mesh->sequence_parallel) add("--sequence-parallel", true);
  add(arithmetic_of_mesh, arithmetic_of(options));
  add("--offload", options.offload.has_value());
  add("--no-overlap", !options.overlap);
  add("--order", options.order);
  add("--precision", options.precision);
  add("--device", std::string(name_of(options.device)));
  add("--ema, --swa-from", options.average.has_value());
  if (options.average) {
    add("--ema", options.average->rule.decay);
    add("--swa-from", options.average->from_step);
  }
  add("--eval-every", text_of(options.validation.every) + (options.validation.every_is_steps ? "steps" : ""));
  add("--keep-best", options.validation.keep_best);
  add("--early-stop", options.validation.patience);
  add("--log-every", options.log_every);
  const CheckpointChoice& checkpoints = options.checkpoints;
  add("--checkpoint-dir", checkpoints.folder.has_value());
  add("--checkpoint-every",
      text_of(checkpoints.every.steps) + " steps, " + text_of(checkpoints.every.time.count()) + " s");
  add("--checkpoint-keep", checkpoints.keep_last);
  add("--checkpoint-keep-every", checkpoints.keep_every);
  add("--stop-after",
      text_of(checkpoints.stop_after.steps) + " steps, " + text_of(checkpoints.stop_after.time.count()) + " s");
  add("--model-dir", options.model_dir.has_value());
}

void add_model(const TrainOptions& options, Settings& settings) {
  const auto add = [&](const char* flag, const auto& value) { settings.emplace_back(flag, text_of(value)); };
  add("--model", options.model);
  add("--hidden", options.hidden);
  add("--loss", options.loss);
  add("--sync-batch-norm", options.sync_batch_norm);
  add("--layers", options.gpt.layers);
  add("--heads", options.gpt.heads);
  add("--channels", options.gpt.channels);
  add("--context", options.gpt.context);
  add("--stride", options.gpt.stride);
  add("--dropout", options.dropout);
  add("--recompute", options.gpt.recompute);
}

void add_data(const DataOptions& data, Settings& settings) {
  const auto add = [&](const char* flag, const auto& value) { settings.emplace_back(flag, text_of(value)); };
  add("--dataset", data.dataset.kind);
  add("--test-dataset", data.test.has_value());
  add("--held-out", data.held_out);
  add("--label", data.table.label);
  add("--no-standardise", !data.table.standardise);
  add("--samples", data.table.samples);
  add("--features", data.table.features);
  add("--classes", data.table.classes);
  add("--noise", data.table.noise);
  add("--vocabulary", data.vocabulary);
}

/// Flags and values as bytes, each ended by a zero.
std::string packed(const Settings& settings) {
  std::string text;
  for (const auto& [flag, value] : settings) text += flag + '\0' + value + '\0';
  return text;
}

std::string_view next_field(std::string_view& text) {
  const std::size_t end = text.find('\0');
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return field;
}

[[noreturn]] void refuse(std::size_t rank, std::string_view theirs, std::string_view zeros,
                         const std::string& other = "rank 0") {
  std::string_view flag, value, zeros_value;
  while (value == zeros_value && !theirs.empty()) {
    flag = next_field(theirs);
    value = next_field(theirs);
    next_field(zeros);
    zeros_value = next_field(zeros);
  }
  fail(ErrorCode::invalid_argument, "the ranks were told to train differently: " + std::string(flag) + " is " +
                                        std::string(value) + " on rank " + std::to_string(rank) + ", " +
                                        std::string(zeros_value) + " on " + other);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> settings_of(const TrainOptions& options) {
  Settings settings;
  add_model(options, settings);
  add_data(options.data, settings);
  add_training(options, settings);
  return settings;
}

void compare_settings(Communicator& communicator, const TrainOptions& options, const std::string& content) {
  Settings settings = settings_of(options);
  settings.emplace_back("the content of --dataset", content);
  const std::string mine = packed(settings);
  const auto all = communicator.all_gather_bytes(std::as_bytes(std::span(mine)), {.label = "settings"});
  const auto text_of_rank = [&](std::size_t rank) {
    return std::string_view(reinterpret_cast<const char*>(all[rank].data()), all[rank].size());
  };
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    if (text_of_rank(rank) != text_of_rank(0)) refuse(rank, text_of_rank(rank), text_of_rank(0));
  }
}

void compare_settings(ServerDirectory& directory, std::uint32_t worker, const TrainOptions& options,
                      const std::string& content) {
  Settings settings = settings_of(options);
  settings.emplace_back("the content of --dataset", content);
  const std::string mine = packed(settings);
  const std::string first = directory.first_said("settings", mine);
  if (first != mine) refuse(worker, mine, first, "the one that was there first");
}

}  // namespace trireme::cli
