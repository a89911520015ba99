// SPDX-License-Identifier: Apache-2.0
#include "cli/train/options.hpp"

#include "cli/arguments.hpp"
#include "cli/byte_size.hpp"
#include "cli/description.hpp"
#include "cli/hyperparameters.hpp"
#include "cli/train/platform_places.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/labelled_images.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdio>
#include <limits>

namespace trireme::cli {
namespace {

constexpr std::int64_t most_units = 1 << 16;
constexpr std::uint64_t most_samples = std::numeric_limits<std::uint32_t>::max();
constexpr int most_shards = 1 << 15;

// What gpt trains well with where nothing else is said: a rate for the rule adamw, over few windows at a time.
constexpr std::size_t gpt_batch_size = 32;
constexpr double gpt_learning_rate = 2e-3;
constexpr double gpt_weight_decay = 0.1;
constexpr double gpt_final_factor = 0.05;
constexpr std::uint64_t gpt_warmup_steps = 20;

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// The flags as typed, before they are checked against each other.
struct Typed {
  std::string model = "mlp", hidden = "512,512", dataset = "fashion-mnist", data_dir, optimizer = "sgd",
              bucket_bytes = "25MiB", order = "canonical", model_dir, trace, describe, log_format = "text", loss,
              precision = "f32", eval_every = "1";
  std::uint64_t epochs = 10, steps = 0, batch_size = 256, batch_size_per_rank = 0, log_every = 0, seed = 1,
                patience = 0, swa_from = 0;
  double ema = 0;
  bool keep_best = false;
  std::string lr_schedule = "constant", lr_scaling = "none";
  std::uint64_t warmup_steps = 0, lr_interval = 1000, lr_base_batch = 256;
  double lr_final = 0, lr_power = 2, lr_decay = 0.1;
  int logical_shards = 0, accumulate = 0;
  double dropout = 0, learning_rate = 0, momentum = 0.9, weight_decay = 0, l2_penalty = 0, clip_norm = 0,
         clip_value = 0;
  bool nesterov = false, no_overlap = false, sync_batch_norm = false;
};

std::vector<std::string> schedule_kinds() {
  std::vector<std::string> names;
  for (int k = 0; k < schedule_kind_count; ++k) names.emplace_back(name_of(static_cast<ScheduleKind>(k)));
  return names;
}

std::vector<std::string> optimizer_choices() {
  std::vector<std::string> names;
  for (const OptimizerEntry& each : optimizers()) names.emplace_back(each.name);
  return names;
}

std::string listed(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& each : words) list += (list.empty() ? "" : ", ") + each;
  return list;
}

/// Of a number whose default is another one for every optimizer that it means something to.
void describe_standards(Flag& flag, double OptimizerEntry::*standard, bool OptimizerEntry::*has = nullptr) {
  const double first = optimizers().front().*standard;
  flag.standard_is(text_of(first));
  for (const OptimizerEntry& each : optimizers()) {
    if (each.*standard != first && (has == nullptr || each.*has))
      flag.standard_beside("--optimizer " + std::string(each.name), text_of(each.*standard));
  }
}

Schedule schedule_of(const Typed& typed) {
  Schedule schedule{.warmup_steps = typed.warmup_steps,
                    .final_factor = typed.lr_final,
                    .power = typed.lr_power,
                    .interval = typed.lr_interval,
                    .decay = typed.lr_decay};
  int kind = 0;
  while (name_of(static_cast<ScheduleKind>(kind)) != typed.lr_schedule) ++kind;
  schedule.kind = static_cast<ScheduleKind>(kind);
  if (schedule.kind == ScheduleKind::polynomial && schedule.power == 0) refuse("--lr-power must be above 0, got 0");
  if (schedule.kind == ScheduleKind::one_cycle && schedule.warmup_steps != 0)
    refuse("--warmup-steps: the schedule one_cycle begins with a rise of its own");
  return schedule;
}

void describe(Arguments& flags, Typed& typed) {
  flags
      .option(
          "--model", typed.model,
          "mlp (default), of images or tables: a multi-layer perceptron; of images: cnn, two convolutions; resnet, three "
          "stages of residual blocks with batch normalisation over each leaf, or as --sync-batch-norm says; of tables: linear and logistic regression; of "
          "text and tokens: gpt (their default), which brings --optimizer adamw --learning-rate 0.002 --weight-decay 0.1 "
          "--batch-size 32 --clip-norm 1 --lr-schedule cosine --lr-final 0.05 --warmup-steps 20")
      .one_of({"mlp", "cnn", "resnet", "gpt", "linear", "logistic"})
      .standard_beside("--dataset text:FILE", "gpt")
      .standard_beside("--dataset tokens:FILE", "gpt")
      .tunable();
  flags.option("--hidden", typed.hidden, "units of each hidden layer of mlp (default 512,512; \"\": no hidden layer)")
      .tunable();
  flags
      .option("--dropout", typed.dropout,
              "probability, in training: of the outputs of mlp's hidden layers; of gpt's embeddings, attention weights "
              "and both branches of every block (default 0)",
              {.least = 0, .most = 1, .excludes_most = true})
      .tunable();
  flags
      .option("--loss", typed.loss,
              "of mlp on a table: cross_entropy (default), the labels are classes; squared, they are values")
      .one_of({"cross_entropy", "squared"});
  flags.flag(
      "--sync-batch-norm", typed.sync_batch_norm,
      "batch normalisation of resnet over the samples of all ranks, with one leaf each: without --logical-shards and "
      "--accumulate, and with weights that depend on the number of ranks");
  flags.option(
      "--dataset", typed.dataset,
      "fashion-mnist (default), or any set of the same four IDX files with --data-dir; text:FILE, a token for each "
      "byte; tokens:FILE, of 16 or 32 bits; csv:FILE, numbers only, whose first line may name the columns; libsvm:FILE; synthetic:linear, :logistic or :blobs. A "
      "folder in place of a file: all files in it, by name. An input channel of the platform: its name, or channel:NAME, in "
      "place of the file");
  flags.option("--data-dir", typed.data_dir,
               std::string("folder of the data set (default ") + data::fashion_mnist_default_directory + ")");
  flags.option("--epochs", typed.epochs, "passes over the training set (default 10)", {.least = 1});
  flags.option("--steps", typed.steps, "stop after so many optimizer steps (default 0: no limit)");
  flags
      .option("--batch-size", typed.batch_size, "samples per step over all ranks (default 256, of gpt 32)",
              {.least = 1, .most = most_samples})
      .standard_beside("--model gpt", std::to_string(gpt_batch_size))
      .tunable();
  flags
      .option("--batch-size-per-rank", typed.batch_size_per_rank, "samples per step and rank, in place of --batch-size",
              {.least = 1, .most = most_samples >> 16})
      .without_standard()
      .tunable();
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
  flags.option("--optimizer", typed.optimizer, "sgd (default) or another of: " + optimizer_names())
      .one_of(optimizer_choices())
      .standard_beside("--model gpt", "adamw")
      .tunable();
  Flag& rate = flags.option("--learning-rate", typed.learning_rate, "default " + rates, {.least = 0}).tunable();
  describe_standards(rate, &OptimizerEntry::learning_rate);
  rate.standard_beside("--model gpt", text_of(gpt_learning_rate));
  flags
      .option("--lr-schedule", typed.lr_schedule,
              "course of the learning rate: " + listed(schedule_kinds()) + " (default constant)")
      .one_of(schedule_kinds())
      .standard_beside("--model gpt", "cosine")
      .tunable();
  flags.option("--warmup-steps", typed.warmup_steps, "steps in which it rises to its full value (default 0)")
      .standard_beside("--model gpt", std::to_string(gpt_warmup_steps))
      .tunable();
  flags
      .option("--lr-final", typed.lr_final, "its last value over its full one, of schedules that end (default 0)",
              {.least = 0})
      .standard_beside("--model gpt", text_of(gpt_final_factor))
      .tunable();
  flags.option("--lr-power", typed.lr_power, "exponent of the schedule polynomial (default 2)", {.least = 0}).tunable();
  flags
      .option("--lr-interval", typed.lr_interval, "steps between the drops of the schedule step (default 1000)",
              {.least = 1})
      .tunable();
  flags.option("--lr-decay", typed.lr_decay, "factor of each drop of the schedule step (default 0.1)", {.least = 0})
      .tunable();
  flags
      .option("--lr-scaling", typed.lr_scaling,
              "linear or square_root: multiply the learning rate by the batch over --lr-base-batch, or its root "
              "(default none)")
      .one_of({"none", "linear", "square_root"});
  flags.option("--lr-base-batch", typed.lr_base_batch, "the batch that --learning-rate is meant for (default 256)",
               {.least = 1, .most = most_samples});
  Flag& momentum =
      flags
          .option("--momentum", typed.momentum, "of sgd and lars (default 0.9), muon (0.95) and rmsprop (0)",
                  {.least = 0, .most = 1, .excludes_most = true})
          .tunable();
  describe_standards(momentum, &OptimizerEntry::momentum, &OptimizerEntry::has_momentum);
  flags.flag("--nesterov", typed.nesterov, "Nesterov's momentum, for sgd and lars").tunable();
  Flag& decay =
      flags
          .option("--weight-decay", typed.weight_decay,
                  "decoupled: weights shrink by learning rate times this (default 0" + decays + ")", {.least = 0})
          .tunable();
  describe_standards(decay, &OptimizerEntry::weight_decay);
  decay.standard_beside("--model gpt", text_of(gpt_weight_decay));
  flags.option("--l2-penalty", typed.l2_penalty, "added to the gradient, times the weight (default 0)", {.least = 0})
      .tunable();
  flags.option("--clip-norm", typed.clip_norm, "largest norm of the gradients (default 0: no limit)", {.least = 0})
      .standard_beside("--model gpt", "1")
      .tunable();
  flags
      .option("--clip-value", typed.clip_value,
              "largest element of the gradients, behind --clip-norm (default 0: no limit)", {.least = 0})
      .tunable();
  flags.option("--bucket-bytes", typed.bucket_bytes, "gradients that are reduced together (default 25MiB)")
      .is(FlagType::size);
  flags.flag("--no-overlap", typed.no_overlap, "reduce after backward, not while it runs");
  flags.option("--order", typed.order, "canonical (default): the same bits for any algorithm; fastest: any order")
      .one_of({"canonical", "fastest"});
  flags
      .option("--precision", typed.precision,
              "of parameters and gradients: f32 (default), bf16, or f16 with dynamic loss scaling, whose "
              "first steps are skipped until the scale fits; sums stay f32")
      .one_of({"f32", "bf16", "f16"});
  flags
      .option("--ema", typed.ema,
              "take the exponential moving average of the weights with this decay, below 1, for evaluation and result; "
              "the decay of step n is at most (1+n)/(10+n)",
              {.least = 0, .most = 1, .excludes_most = true})
      .without_standard()
      .tunable();
  flags
      .option("--swa-from", typed.swa_from,
              "take the mean of the weights of this step and all later ones for evaluation and result", {.least = 1})
      .without_standard();
  flags
      .option(
          "--eval-every", typed.eval_every,
          "epochs between evaluations of the held-out part, or steps as in 100steps (default 1; 0: only at the end)")
      .is(FlagType::duration);
  flags.flag("--keep-best", typed.keep_best, "the result is the weights of the evaluation with the least loss");
  flags.option("--early-stop", typed.patience,
               "end training behind so many evaluations in a row without a lesser loss (default 0: never)");
  flags.option("--log-every", typed.log_every, "steps between lines `metric … step_loss=…` (default 0: none)");
  flags.option(
      "--model-dir", typed.model_dir,
      "folder that rank 0 leaves the trained model in: model.safetensors, the weights that are the result, and "
      "config.json, how to compute with them; metrics.json, what the result line tells (default: the platform's, if "
      "it has one)");
  flags.option(
      "--trace", typed.trace,
      "file for a Chrome trace of every step (Perfetto shows it); of several ranks each writes its own, rank R "
      "of FILE.json to FILE.rankR.json");
  flags
      .option("--log-format", typed.log_format,
              "text (default), or json: every line of stdout and stderr is an object with severity and message, metric "
              "and result lines with their words in it")
      .one_of({"text", "json"});
  flags
      .option("--describe", typed.describe,
              "json: print every flag with its type, range or choices, default, and whether it is worth tuning")
      .one_of({"json"});
}

/// Which models can learn from which samples.
void check_pair(const std::string& model, DatasetKind kind) {
  const bool is_text = kind == DatasetKind::text || kind == DatasetKind::tokens;
  const bool is_images = kind == DatasetKind::images;
  if (model == "gpt" && !is_text) refuse("--model gpt needs --dataset text:FILE or tokens:FILE");
  if (model != "gpt" && is_text) refuse("--dataset text: and tokens: are for --model gpt, not " + model);
  if ((model == "cnn" || model == "resnet") && !is_images)
    refuse("--model " + model + " needs images: --dataset fashion-mnist, or another set with --data-dir");
  if ((model == "linear" || model == "logistic") && is_images)
    refuse("--model " + model + " needs --dataset csv:FILE, libsvm:FILE or synthetic:KIND");
}

LossKind loss_of(const Arguments& flags, const Typed& typed, const std::string& model, DatasetKind kind) {
  const bool is_table = kind == DatasetKind::csv || kind == DatasetKind::libsvm || kind == DatasetKind::synthetic;
  if (flags.given("--loss")) {
    if (model != "mlp" || !is_table) refuse("--loss belongs to --model mlp on a table; " + model + " has its own");
    return typed.loss == "squared" ? LossKind::squared : LossKind::cross_entropy;
  }
  return model == "linear" ? LossKind::squared : LossKind::cross_entropy;
}

double dropout_of(const Arguments& flags, const Typed& typed, const std::string& model) {
  if (flags.given("--dropout") && model != "gpt" && model != "mlp")
    refuse("--dropout belongs to --model gpt and mlp; " + model + " has none");
  return typed.dropout;
}

Precision precision_of(const Typed& typed) {
  return typed.precision == "f32" ? Precision::f32 : typed.precision == "bf16" ? Precision::bf16 : Precision::f16;
}

std::optional<AverageChoice> average_of(const Arguments& flags, const Typed& typed) {
  const bool ema = flags.given("--ema");
  const bool swa = flags.given("--swa-from");
  if (ema && swa) refuse("--ema and --swa-from exclude each other: give one");
  if (ema) {
    return AverageChoice{.rule = {.kind = AverageKind::exponential, .decay = typed.ema, .warmup = true}};
  }
  if (swa) {
    return AverageChoice{.rule = {.kind = AverageKind::equal}, .from_step = typed.swa_from};
  }
  return std::nullopt;
}

/// "3" are epochs, "100steps" steps.
ValidationOptions validation_of(const Typed& typed) {
  ValidationOptions options{.keep_best = typed.keep_best, .patience = typed.patience};
  const std::string& text = typed.eval_every;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), options.every);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc() || (!unit.empty() && unit != "steps"))
    refuse("--eval-every is '" + text + "': give epochs as in 2, or steps as in 100steps");
  options.every_is_steps = !unit.empty();
  if (options.every_is_steps && options.every == 0) refuse("--eval-every must be above 0steps, or 0");
  if (options.every == 0 && (options.keep_best || options.patience != 0))
    refuse("--eval-every 0 evaluates at the end alone: --keep-best and --early-stop have nothing to go by");
  return options;
}

TrainOptions check(const Arguments& flags, const Typed& typed, const DataFlags& data, const GptFlags& language,
                   const CheckpointFlags& checkpoints, const PlatformPlaces& places) {
  const auto given = [&](const char* flag) { return flags.given(flag); };
  const DatasetSpec dataset = parse_dataset("--dataset", typed.dataset);
  const bool is_text = dataset.kind == DatasetKind::text || dataset.kind == DatasetKind::tokens;
  const std::string model = !given("--model") && is_text ? "gpt" : typed.model;
  check_pair(model, dataset.kind);
  if (given("--hidden") && model != "mlp") refuse("--hidden belongs to --model mlp; " + model + " has none");
  if (typed.sync_batch_norm && model != "resnet")
    refuse("--sync-batch-norm belongs to --model resnet; " + model + " has no batch normalisation");
  const bool is_gpt = model == "gpt";
  const OptimizerEntry& entry = optimizer_named(is_gpt && !given("--optimizer") ? "adamw" : typed.optimizer);

  TrainOptions options;
  options.model = model;
  options.hidden = parse_hidden(typed.hidden);
  options.sync_batch_norm = typed.sync_batch_norm;
  options.dropout = dropout_of(flags, typed, model);
  options.gpt = language.checked(flags, model, dataset.kind == DatasetKind::text);
  options.data = data.checked(flags, dataset);
  options.loss = loss_of(flags, typed, model, dataset.kind);
  options.precision = precision_of(typed);
  options.average = average_of(flags, typed);
  options.validation = validation_of(typed);
  if (given("--data-dir")) {
    if (typed.data_dir.empty()) refuse("--data-dir: the name of the folder is empty");
    options.data_dir = typed.data_dir;
  }
  options.epochs = typed.epochs;
  options.steps = typed.steps;
  options.batch_size = is_gpt && !given("--batch-size") ? gpt_batch_size : typed.batch_size;
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
  if (is_gpt && !given("--lr-schedule")) {
    options.schedule.kind = ScheduleKind::cosine;
    if (!given("--lr-final")) options.schedule.final_factor = gpt_final_factor;
    if (!given("--warmup-steps")) options.warmup_if_long = gpt_warmup_steps;
  }
  options.lr_scaling = typed.lr_scaling == "linear"        ? BatchScaling::linear
                       : typed.lr_scaling == "square_root" ? BatchScaling::square_root
                                                           : BatchScaling::none;
  options.lr_base_batch = typed.lr_base_batch;
  options.clip_norm = is_gpt && !given("--clip-norm") ? 1.0 : typed.clip_norm;
  options.clip_value = typed.clip_value;
  options.bucket_bytes = parse_byte_size(typed.bucket_bytes, "--bucket-bytes");
  if (options.bucket_bytes.value == 0) refuse("--bucket-bytes must be above 0");
  options.overlap = !typed.no_overlap;
  options.order = typed.order == "fastest" ? ReductionOrder::fastest : ReductionOrder::canonical;
  options.log_every = typed.log_every;
  options.logs_json = typed.log_format == "json";
  options.checkpoints = checkpoints.checked(flags, places.checkpoint_dir());
  if (given("--model-dir")) {
    if (typed.model_dir.empty()) refuse("--model-dir: the name of the folder is empty");
    options.model_dir = typed.model_dir;
  }
  if (given("--trace")) {
    if (typed.trace.empty()) refuse("--trace: the name of the file is empty");
    options.trace = typed.trace;
  }

  OptimizerChoice& optimizer = options.optimizer;
  optimizer.name = entry.name;
  const bool own_rule = is_gpt && !given("--optimizer");
  optimizer.learning_rate = given("--learning-rate") ? typed.learning_rate
                            : own_rule               ? gpt_learning_rate
                                                     : entry.learning_rate;
  optimizer.weight_decay = given("--weight-decay") ? typed.weight_decay
                           : own_rule              ? gpt_weight_decay
                                                   : entry.weight_decay;
  optimizer.l2_penalty = typed.l2_penalty;
  const auto belongs = [&](const char* flag, bool has, bool OptimizerEntry::*needs) {
    if (has || !given(flag)) return;
    std::string owners;
    for (const OptimizerEntry& each : optimizers()) {
      if (each.*needs) owners += (owners.empty() ? "" : ", ") + std::string(each.name);
    }
    refuse(std::string(flag) + " belongs to --optimizer " + owners + "; " + optimizer.name + " has none");
  };
  belongs("--momentum", entry.has_momentum, &OptimizerEntry::has_momentum);
  belongs("--nesterov", entry.has_nesterov, &OptimizerEntry::has_nesterov);
  optimizer.momentum = typed.momentum;
  if (!given("--momentum")) optimizer.momentum = entry.momentum;
  optimizer.nesterov = typed.nesterov;
  if (optimizer.nesterov && optimizer.momentum == 0) refuse("--nesterov needs --momentum above 0");
  return options;
}

constexpr const char* command = "trireme train";

/// What `use` returns of the command's flags, described anew.
template <class Use>
auto with_flags(Use use) {
  Typed typed;
  Arguments flags("Trains a model on images, tables or text, alone or as one of the ranks that `trireme run` starts.",
                  command);
  flags.footer("The last line on rank 0's stdout is `result: key=value …`.");
  describe(flags, typed);
  DataFlags data(flags);
  GptFlags language(flags);
  CheckpointFlags checkpoints(flags);
  TrackingFlags tracking(flags);
  return use(flags, typed, data, language, checkpoints, tracking);
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

bool asks_for_no_training(const std::vector<std::string>& arguments) {
  return std::any_of(arguments.begin(), arguments.end(), [](const std::string& word) {
    return word == "--help" || word == "-h" || word == "--describe" || word.rfind("--describe=", 0) == 0;
  });
}

bool asks_for_json_log(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string flag = arguments[i];
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (flag == "--log-format=json") return true;
    if (flag == "--log-format" && i + 1 < arguments.size() && arguments[i + 1] == "json") return true;
  }
  return false;
}

std::string describe_train() {
  return with_flags([](const Arguments& flags, auto&...) { return description_of(command, flags.flags()); });
}

std::optional<TrainOptions> parse_train_options(const std::vector<std::string>& arguments,
                                                const platform::ClusterSpec& cluster, const std::string& root) {
  const Hyperparameters said = asks_for_no_training(arguments) ? Hyperparameters() : cluster.hyperparameters;
  const PlatformPlaces places(cluster, root);
  return with_flags([&](Arguments& flags, const Typed& typed, const auto& data, const auto& language,
                        const auto& checkpoints, const auto& tracking) -> std::optional<TrainOptions> {
    std::vector<std::string> words = flag_words(said, flags.flags());
    words.insert(words.end(), arguments.begin(), arguments.end());  // the last of a flag counts
    try {
      if (!flags.parse(words)) return std::nullopt;
      if (flags.given("--describe")) {
        std::printf("%s\n", describe_train().c_str());
        return std::nullopt;
      }
      TrainOptions options = check(flags, typed, data, language, checkpoints, places);
      places.settle(options);
      options.tracking = tracking.checked(flags);
      return options;
    } catch (const Exception& refusal) {
      const Error& error = refusal.error();
      const std::string name = blamed_hyperparameter(error.message, said, arguments);
      if (name.empty()) throw;
      fail(error.code, error.message + " (the platform's hyperparameter '" + name + "' says so)");
    }
  });
}

}  // namespace trireme::cli
