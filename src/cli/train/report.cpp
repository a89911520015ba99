// SPDX-License-Identifier: Apache-2.0
#include "cli/train/report.hpp"

#include <cmath>
#include <cstdio>

namespace trireme::cli {
namespace {

/// Nine digits: losses that agree in them agree, in practice, in all bits.
std::string loss_text(double loss) {
  if (std::isnan(loss)) return "nan";  // of either sign
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", loss);
  return text;
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// " val_accuracy=0.9132 val_loss=0.31…", of what the score has; `prefix` stands before each name.
std::string score_text(const Score& score, const std::string& prefix) {
  std::string text;
  if (score.accuracy) text += " " + prefix + "accuracy=" + fixed(*score.accuracy, 4);
  text += " " + prefix + "loss=" + loss_text(score.loss);
  if (score.perplexity) text += " " + prefix + "perplexity=" + loss_text(*score.perplexity);
  if (score.error) text += " " + prefix + "rmse=" + loss_text(*score.error);
  return text;
}

}  // namespace

std::string result_line(const TrainResult& result) {
  std::string line = "result: model=" + result.model + " world=" + std::to_string(result.world) +
                     " steps=" + std::to_string(result.steps) + " train_loss=" + loss_text(result.train_loss);
  if (result.test.accuracy) line += " test_accuracy=" + fixed(*result.test.accuracy, 4);
  line += " samples_per_s=" + fixed(result.samples_per_s, 1);
  if (!std::isnan(result.test.loss)) line += " test_loss=" + loss_text(result.test.loss);
  if (result.test.perplexity) line += " test_perplexity=" + loss_text(*result.test.perplexity);
  if (result.test.error) line += " test_rmse=" + loss_text(*result.test.error);
  line += " epochs=" + std::to_string(result.epochs) + " seconds=" + fixed(result.seconds, 2) +
          " logical_shards=" + std::to_string(result.logical_shards) + " ready_s=" + fixed(result.ready_s, 2) +
          " peak_memory_MiB=" + std::to_string((result.peak_memory_kib + 1023) / 1024);
  if (!result.sync.empty()) line += " sync=" + result.sync;
  if (result.skipped_steps) line += " skipped_steps=" + std::to_string(*result.skipped_steps);
  if (result.diverged_at) line += " diverged_at=" + std::to_string(*result.diverged_at);
  if (result.best_step != 0) line += " best_step=" + std::to_string(result.best_step);
  if (result.stopped_early_at) line += " stopped_early_at=" + std::to_string(*result.stopped_early_at);
  if (result.resumed_from) line += " resumed_from=" + std::to_string(*result.resumed_from);
  if (result.is_interrupted) line += " interrupted=1";
  if (result.stop_signal != 0) line += " stopped_by_signal=" + std::to_string(result.stop_signal);
  return line + " weights_xxh3=" + result.weights_xxh3;
}

std::string early_stop_line(std::uint64_t step, std::uint64_t best_step, std::uint64_t patience) {
  return "trireme train: stopped early at step " + std::to_string(step) + ": no lesser loss in " +
         std::to_string(patience) + " evaluations behind step " + std::to_string(best_step);
}

std::string divergence_line(const TrainResult& result, double learning_rate) {
  char rate[32];
  std::snprintf(rate, sizeof rate, "%g", learning_rate);
  const std::string step = std::to_string(result.diverged_at.value_or(0));
  const std::string mending = ": lower --learning-rate (it is " + std::string(rate) + "), ";
  if (result.overflowed) {
    return "trireme train: the gradients overflow f16 at step " + step + " although nothing scales them" + mending +
           "standardise the features, or use --precision bf16";
  }
  return "trireme train: the loss is not finite at step " + step + mending + "or bound the gradients with --clip-norm";
}

std::string metric_line(const Metric& metric) {
  std::string line = "metric step=" + std::to_string(metric.step) + " epoch=" + std::to_string(metric.epoch);
  if (metric.step_loss) line += " step_loss=" + loss_text(*metric.step_loss);
  if (metric.train_loss) line += " train_loss=" + loss_text(*metric.train_loss);
  if (metric.validation) line += score_text(*metric.validation, "val_");
  return line + " samples_per_s=" + fixed(metric.samples_per_s, 1);
}

std::string score_result_line(const ScoreResult& result) {
  return "result: role=evaluator model=" + result.model + " scored=" + std::to_string(result.scored) +
         " step=" + std::to_string(result.step) + score_text(result.score, "val_") +
         " best_step=" + std::to_string(result.best_step) + score_text(result.best, "best_val_") +
         " seconds=" + fixed(result.seconds, 2) + " weights_xxh3=" + result.weights_xxh3;
}

std::string start_line(const Start& start) {
  std::string line = "trireme train: " + start.model + " (" + std::to_string(start.parameters) + " parameters) on " +
                     start.dataset + " (" + std::to_string(start.samples) + " samples), batches of " +
                     std::to_string(start.batch) + ", ";
  line += start.world == 1 ? "1 rank" : std::to_string(start.world) + " ranks over " + start.transport;
  if (!start.mesh.empty()) line += " as " + start.mesh;
  if (start.logical_shards != start.world) line += ", " + std::to_string(start.logical_shards) + " logical shards";
  if (!start.device.empty()) line += ", on " + start.device;
  return line;
}

}  // namespace trireme::cli
