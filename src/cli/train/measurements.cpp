// SPDX-License-Identifier: Apache-2.0
#include "cli/train/measurements.hpp"

#include <cmath>

namespace trireme::cli {
namespace {

void add_score(const std::string& part, const Score& score, std::map<std::string, double>& values) {
  if (score.accuracy) values[part + "_accuracy"] = *score.accuracy;
  values[part + "_loss"] = score.loss;
  if (score.perplexity) values[part + "_perplexity"] = *score.perplexity;
  if (score.error) values[part + "_rmse"] = *score.error;
}

}  // namespace

std::map<std::string, double> measurements_of(const Metric& metric) {
  std::map<std::string, double> values{{"epoch", static_cast<double>(metric.epoch)}};
  if (metric.step_loss) values["step_loss"] = *metric.step_loss;
  if (metric.train_loss) values["train_loss"] = *metric.train_loss;
  if (metric.validation) add_score("val", *metric.validation, values);
  values["samples_per_s"] = metric.samples_per_s;
  return values;
}

std::map<std::string, double> measurements_of(const TrainResult& result) {
  std::map<std::string, double> values;
  if (!std::isnan(result.test.loss)) add_score("test", result.test, values);
  return values;
}

const std::array<std::string_view, 7>& metric_names() {
  static constexpr std::array<std::string_view, 7> names{"val_accuracy", "val_loss",  "val_perplexity", "val_rmse",
                                                         "train_loss",   "step_loss", "samples_per_s"};
  return names;
}

}  // namespace trireme::cli
