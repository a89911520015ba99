// SPDX-License-Identifier: Apache-2.0
#include "cli/train/typed_options.hpp"

#include "cli/train/options.hpp"
#include "trireme/data/labelled_images.hpp"

#include <cstdio>
#include <limits>
#include <vector>

namespace trireme::cli {
namespace {

constexpr std::uint64_t most_samples = std::numeric_limits<std::uint32_t>::max();
constexpr int most_shards = 1 << 15;

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

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

}  // namespace

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
      "byte; tokens:FILE, of 16 or 32 bits; csv:FILE, numbers only, whose first line names the columns unless a number is in it; libsvm:FILE; synthetic:linear, :logistic or :blobs. A "
      "folder in place of a file: all files in it, by name, but those whose names begin with . or _. An input channel of the platform: its name, or channel:NAME, in "
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
      .option("--batch-size-per-rank", typed.batch_size_per_rank,
              "samples per step and rank, with --mesh and replica, in place of --batch-size",
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
  flags.option(
      "--zero", typed.zero,
      "what the ranks share out instead of each having all: 0 (default) nothing; 1 optimizer state; 2 gradients, "
      "too; 3, of gpt, values, too: for models larger than a rank's memory. The weights are the same bits",
      {.least = 0, .most = 3});
  flags.option(
      "--shard-group", typed.shard_group,
      "with --zero: so many consecutive ranks share, and every group has all (default 0: all ranks are one group)",
      {.least = 0, .most = most_shards});
  flags.option("--offload", typed.offload,
               "folder on a disk of this host: the optimizer keeps its state in a file there, not in memory");
  flags.flag("--no-overlap", typed.no_overlap, "reduce after backward, not while it runs");
  flags.option("--order", typed.order, "canonical (default): the same bits for any algorithm; fastest: any order")
      .one_of({"canonical", "fastest"});
  flags
      .option("--precision", typed.precision,
              "of parameters and gradients: f32 (default), bf16, or f16 with dynamic loss scaling, whose "
              "first steps are skipped until the scale fits; sums stay f32")
      .one_of({"f32", "bf16", "f16"});
  flags
      .option("--device", typed.device,
              "cpu (default), or cuda: parameters, gradients and all arithmetic on GPUs; trains mlp on images; "
              "emulated: the same on devices that threads play, slowly, to try it where there is no GPU")
      .one_of({"cpu", "cuda", "emulated"});
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

}  // namespace trireme::cli
