// SPDX-License-Identifier: Apache-2.0
#include "cli/train/metrics_file.hpp"

#include "cli/train/small_file.hpp"

#include <nlohmann/json.hpp>

#include <cmath>

namespace trireme::cli {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

template <class Value>
void add(Json& json, const char* name, const std::optional<Value>& value) {
  if (value) json[name] = *value;
}

}  // namespace

std::string metrics_json(const TrainResult& result) {
  Json json{{"model", result.model},
            {"world", result.world},
            {"steps", result.steps},
            {"train_loss", number(result.train_loss)}};
  if (result.test.accuracy) json["test_accuracy"] = number(*result.test.accuracy);
  json["test_loss"] = number(result.test.loss);
  if (result.test.perplexity) json["test_perplexity"] = number(*result.test.perplexity);
  if (result.test.error) json["test_rmse"] = number(*result.test.error);
  json["samples_per_s"] = number(result.samples_per_s);
  json["epochs"] = result.epochs;
  json["seconds"] = number(result.seconds);
  json["logical_shards"] = result.logical_shards;
  json["ready_s"] = number(result.ready_s);
  json["peak_memory_MiB"] = (result.peak_memory_kib + 1023) / 1024;
  add(json, "skipped_steps", result.skipped_steps);
  add(json, "diverged_at", result.diverged_at);
  if (result.best_step != 0) json["best_step"] = result.best_step;
  add(json, "stopped_early_at", result.stopped_early_at);
  add(json, "resumed_from", result.resumed_from);
  if (result.stop_signal != 0) json["stopped_by_signal"] = result.stop_signal;
  json["weights_xxh3"] = result.weights_xxh3;
  return json.dump(2) + "\n";
}

void write_metrics(checkpoint::FileSystem& files, const std::string& folder, const TrainResult& result) {
  replace_file(files, folder, exported_metrics, metrics_json(result));
}

}  // namespace trireme::cli
