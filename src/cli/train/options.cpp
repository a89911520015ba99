// SPDX-License-Identifier: Apache-2.0
#include "cli/train/options.hpp"

#include "cli/arguments.hpp"
#include "cli/byte_size.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/labelled_images.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace trireme::cli {
namespace {

constexpr std::int64_t most_units = 1 << 16;
constexpr std::uint64_t most_samples = std::numeric_limits<std::uint32_t>::max();
constexpr int most_shards = 1 << 15;

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

void one_of(const char* flag, const std::string& value, std::initializer_list<std::string_view> known) {
  std::string list;
  for (const std::string_view each : known) {
    if (value == each) return;
    list += (list.empty() ? "" : ", ") + std::string(each);
  }
  refuse(std::string(flag) + " is '" + value + "'; this version has: " + list);
}

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

double at_least_zero(const char* flag, double value) {
  if (!std::isfinite(value) || value < 0)
    refuse(std::string(flag) + " must be finite and at least 0, got " + text_of(value));
  return value;
}

/// The flags as typed, before they are checked against each other.
struct Typed {
  std::string model = "mlp", hidden = "512,512", dataset = "fashion-mnist", data_dir, optimizer = "sgd",
              bucket_bytes = "25MiB", order = "canonical", trace;
  std::uint64_t epochs = 10, steps = 0, batch_size = 256, batch_size_per_rank = 0, eval_every = 1, log_every = 0,
                seed = 1;
  std::string lr_schedule = "constant", lr_scaling = "none";
  std::uint64_t warmup_steps = 0, lr_interval = 1000, lr_base_batch = 256;
  double lr_final = 0, lr_power = 2, lr_decay = 0.1;
  int logical_shards = 0, accumulate = 0;
  double learning_rate = 0, momentum = 0.9, weight_decay = 0, l2_penalty = 0, clip_norm = 0, clip_value = 0;
  bool nesterov = false, no_overlap = false, sync_batch_norm = false;
};

std::string schedule_names() {
  std::string list;
  for (int k = 0; k < schedule_kind_count; ++k)
    list += (k == 0 ? "" : ", ") + std::string(name_of(static_cast<ScheduleKind>(k)));
  return list;
}

Schedule schedule_of(const Typed& typed) {
  Schedule schedule{.warmup_steps = typed.warmup_steps,
                    .final_factor = at_least_zero("--lr-final", typed.lr_final),
                    .power = at_least_zero("--lr-power", typed.lr_power),
                    .interval = typed.lr_interval,
                    .decay = at_least_zero("--lr-decay", typed.lr_decay)};
  int kind = 0;
  while (kind < schedule_kind_count && name_of(static_cast<ScheduleKind>(kind)) != typed.lr_schedule) ++kind;
  if (kind == schedule_kind_count)
    refuse("--lr-schedule is '" + typed.lr_schedule + "'; this version has: " + schedule_names());
  schedule.kind = static_cast<ScheduleKind>(kind);
  if (schedule.kind == ScheduleKind::polynomial && schedule.power == 0) refuse("--lr-power must be above 0, got 0");
  if (schedule.kind == ScheduleKind::one_cycle && schedule.warmup_steps != 0)
    refuse("--warmup-steps: the schedule one_cycle begins with a rise of its own");
  return schedule;
}

void describe(Arguments& flags, Typed& typed) {
  flags.option(
      "--model", typed.model,
      "mlp (default): a multi-layer perceptron; cnn: two convolutions; resnet: three stages of residual blocks with "
      "batch normalisation over each leaf, or as --sync-batch-norm says");
  flags.option("--hidden", typed.hidden, "units of each hidden layer of mlp (default 512,512; \"\": no hidden layer)");
  flags.flag("--sync-batch-norm", typed.sync_batch_norm,
             "batch normalisation of resnet over the samples of all ranks, with one leaf each");
  flags.option("--dataset", typed.dataset,
               "fashion-mnist (default), or any set of the same four IDX files with --data-dir");
  flags.option("--data-dir", typed.data_dir,
               std::string("folder of the data set (default ") + data::fashion_mnist_default_directory + ")");
  flags.option("--epochs", typed.epochs, "passes over the training set (default 10)", {.least = 1});
  flags.option("--steps", typed.steps, "stop after so many optimizer steps (default 0: no limit)");
  flags.option("--batch-size", typed.batch_size, "samples per step over all ranks (default 256)",
               {.least = 1, .most = most_samples});
  flags.option("--batch-size-per-rank", typed.batch_size_per_rank,
               "samples per step and rank, in place of --batch-size", {.least = 1, .most = most_samples >> 16});
  flags.option("--seed", typed.seed, "of the weights and of the order of the samples (default 1)");
  flags.option("--logical-shards", typed.logical_shards,
               "leaves V of every batch, a power of two: equal weights on 1 to V ranks (default 0: one per rank)",
               {.least = 0, .most = most_shards});
  std::string rates, decays;
  for (const OptimizerEntry& each : optimizers()) {
    rates += (rates.empty() ? "" : ", ") + text_of(each.learning_rate) + " for " + std::string(each.name);
    if (each.weight_decay != 0) decays += ", " + text_of(each.weight_decay) + " for " + std::string(each.name);
  }
  flags.option("--accumulate", typed.accumulate,
               "passes per rank and step, a power of two: sets V to it times the ranks (default 0: as V says)",
               {.least = 0, .most = most_shards});
  flags.option("--optimizer", typed.optimizer, "sgd (default) or another of: " + optimizer_names());
  flags.option("--learning-rate", typed.learning_rate, "default " + rates);
  flags.option("--lr-schedule", typed.lr_schedule,
               "course of the learning rate: " + schedule_names() + " (default constant)");
  flags.option("--warmup-steps", typed.warmup_steps, "steps in which it rises to its full value (default 0)");
  flags.option("--lr-final", typed.lr_final, "its last value over its full one, of schedules that end (default 0)");
  flags.option("--lr-power", typed.lr_power, "exponent of the schedule polynomial (default 2)");
  flags.option("--lr-interval", typed.lr_interval, "steps between the drops of the schedule step (default 1000)",
               {.least = 1});
  flags.option("--lr-decay", typed.lr_decay, "factor of each drop of the schedule step (default 0.1)");
  flags.option("--lr-scaling", typed.lr_scaling,
               "linear or square_root: multiply the learning rate by the batch over --lr-base-batch, or its root "
               "(default none)");
  flags.option("--lr-base-batch", typed.lr_base_batch, "the batch that --learning-rate is meant for (default 256)",
               {.least = 1, .most = most_samples});
  flags.option("--momentum", typed.momentum, "of sgd and lars (default 0.9), muon (0.95) and rmsprop (0)");
  flags.flag("--nesterov", typed.nesterov, "Nesterov's momentum, for sgd and lars");
  flags.option("--weight-decay", typed.weight_decay,
               "decoupled: weights shrink by learning rate times this (default 0" + decays + ")");
  flags.option("--l2-penalty", typed.l2_penalty, "added to the gradient, times the weight (default 0)");
  flags.option("--clip-norm", typed.clip_norm, "largest norm of the gradients (default 0: no limit)");
  flags.option("--clip-value", typed.clip_value,
               "largest element of the gradients, behind --clip-norm (default 0: no limit)");
  flags.option("--bucket-bytes", typed.bucket_bytes, "gradients that are reduced together (default 25MiB)");
  flags.flag("--no-overlap", typed.no_overlap, "reduce after backward, not while it runs");
  flags.option("--order", typed.order, "canonical (default): the same bits for any algorithm; fastest: any order");
  flags.option("--eval-every", typed.eval_every, "epochs between evaluations (default 1; 0: only at the end)");
  flags.option("--log-every", typed.log_every, "steps between lines `metric … step_loss=…` (default 0: none)");
  flags.option(
      "--trace", typed.trace,
      "file for a Chrome trace of every step (Perfetto shows it); of several ranks each writes its own, rank R "
      "of FILE.json to FILE.rankR.json");
}

TrainOptions check(const Arguments& flags, const Typed& typed) {
  const auto given = [&](const char* flag) { return flags.given(flag); };
  one_of("--model", typed.model, {"mlp", "cnn", "resnet"});
  if (given("--hidden") && typed.model != "mlp")
    refuse("--hidden belongs to --model mlp; " + typed.model + " has none");
  if (typed.sync_batch_norm && typed.model != "resnet")
    refuse("--sync-batch-norm belongs to --model resnet; " + typed.model + " has no batch normalisation");
  one_of("--dataset", typed.dataset, {"fashion-mnist"});
  const OptimizerEntry& entry = optimizer_named(typed.optimizer);
  one_of("--order", typed.order, {"canonical", "fastest"});

  TrainOptions options;
  options.model = typed.model;
  options.hidden = parse_hidden(typed.hidden);
  options.sync_batch_norm = typed.sync_batch_norm;
  if (given("--data-dir")) {
    if (typed.data_dir.empty()) refuse("--data-dir: the name of the folder is empty");
    options.data_dir = typed.data_dir;
  }
  options.epochs = typed.epochs;
  options.steps = typed.steps;
  options.batch_size = typed.batch_size;
  if (given("--batch-size-per-rank")) {
    if (given("--batch-size")) refuse("--batch-size and --batch-size-per-rank exclude each other: give one");
    options.batch_size_per_rank = typed.batch_size_per_rank;
  }
  options.seed = typed.seed;
  options.logical_shards = typed.logical_shards;
  if (options.logical_shards != 0 && !std::has_single_bit(static_cast<unsigned>(options.logical_shards))) {
    refuse("--logical-shards must be a power of two, or 0 for one per rank, got " +
           std::to_string(options.logical_shards));
  }
  options.accumulate = typed.accumulate;
  if (options.accumulate != 0 && !std::has_single_bit(static_cast<unsigned>(options.accumulate)))
    refuse("--accumulate must be a power of two, or 0, got " + std::to_string(options.accumulate));
  options.schedule = schedule_of(typed);
  one_of("--lr-scaling", typed.lr_scaling, {"none", "linear", "square_root"});
  options.lr_scaling = typed.lr_scaling == "linear"        ? BatchScaling::linear
                       : typed.lr_scaling == "square_root" ? BatchScaling::square_root
                                                           : BatchScaling::none;
  options.lr_base_batch = typed.lr_base_batch;
  options.clip_norm = at_least_zero("--clip-norm", typed.clip_norm);
  options.clip_value = at_least_zero("--clip-value", typed.clip_value);
  options.bucket_bytes = parse_byte_size(typed.bucket_bytes, "--bucket-bytes");
  if (options.bucket_bytes.value == 0) refuse("--bucket-bytes must be above 0");
  options.overlap = !typed.no_overlap;
  options.order = typed.order == "fastest" ? ReductionOrder::fastest : ReductionOrder::canonical;
  options.eval_every = typed.eval_every;
  options.log_every = typed.log_every;
  if (given("--trace")) {
    if (typed.trace.empty()) refuse("--trace: the name of the file is empty");
    options.trace = typed.trace;
  }

  OptimizerChoice& optimizer = options.optimizer;
  optimizer.name = entry.name;
  optimizer.learning_rate =
      given("--learning-rate") ? at_least_zero("--learning-rate", typed.learning_rate) : entry.learning_rate;
  optimizer.weight_decay =
      given("--weight-decay") ? at_least_zero("--weight-decay", typed.weight_decay) : entry.weight_decay;
  optimizer.l2_penalty = at_least_zero("--l2-penalty", typed.l2_penalty);
  const auto belongs = [&](const char* flag, bool has, bool OptimizerEntry::*needs) {
    if (has || !given(flag)) return;
    std::string owners;
    for (const OptimizerEntry& each : optimizers()) {
      if (each.*needs) owners += (owners.empty() ? "" : ", ") + std::string(each.name);
    }
    refuse(std::string(flag) + " belongs to --optimizer " + owners + "; " + typed.optimizer + " has none");
  };
  belongs("--momentum", entry.has_momentum, &OptimizerEntry::has_momentum);
  belongs("--nesterov", entry.has_nesterov, &OptimizerEntry::has_nesterov);
  optimizer.momentum = at_least_zero("--momentum", typed.momentum);
  if (!given("--momentum")) optimizer.momentum = entry.momentum;
  optimizer.nesterov = typed.nesterov;
  if (optimizer.nesterov && optimizer.momentum == 0) refuse("--nesterov needs --momentum above 0");
  if (optimizer.momentum >= 1) refuse("--momentum must be below 1, got " + text_of(optimizer.momentum));
  return options;
}

}  // namespace

std::vector<std::size_t> parse_hidden(std::string_view text) {
  std::vector<std::size_t> hidden;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    std::int64_t units = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), units);
    const bool complete = error == std::errc() && end == part.data() + part.size();
    const bool dangling = comma != std::string_view::npos && comma + 1 == text.size();
    if (!complete || dangling || units < 1 || units > most_units) {
      refuse("--hidden: give layers of 1 to " + std::to_string(most_units) +
             " units with commas between, as in 512,512");
    }
    hidden.push_back(static_cast<std::size_t>(units));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return hidden;
}

std::optional<TrainOptions> parse_train_options(const std::vector<std::string>& arguments) {
  Typed typed;
  Arguments flags("Trains a model on labelled images, alone or as one of the ranks that `trireme run` starts.",
                  "trireme train");
  flags.footer("The last line on rank 0's stdout is `result: key=value …`.");
  describe(flags, typed);
  if (!flags.parse(arguments)) return std::nullopt;
  return check(flags, typed);
}

}  // namespace trireme::cli
