// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>

namespace trireme::tracking {

/// One value on its way to an MLflow server.
struct MlflowItem {
  enum class Kind : unsigned char { metric, parameter, tag };
  Kind kind = Kind::metric;
  std::string key;
  std::string text{};             ///< of parameters and tags
  double value = 0.0;             ///< of metrics
  std::int64_t timestamp_ms = 0;  ///< of metrics
  std::int64_t step = 0;          ///< of metrics
};

/// Milliseconds since 1970, as servers take times.
std::int64_t mlflow_time(std::chrono::system_clock::time_point time);

/// `name` as every server takes it: other characters than letters, digits and "_-. /:" become '_', at most 250.
std::string mlflow_key(std::string_view name);

/// At most `most_bytes` of UTF-8, cut between characters.
std::string mlflow_text(std::string_view text, std::size_t most_bytes);
constexpr std::size_t mlflow_most_parameter_bytes = 500;  // servers before 2.8; later ones take 6000
constexpr std::size_t mlflow_most_tag_bytes = 5000;       // servers before 2.20; later ones take 8000

/// How many of the first of `items` make one batch: of one kind, so that a server that refuses it has taken none; at most 1000
/// metrics or 100 others, each parameter or tag once, and well below a megabyte.
std::size_t mlflow_batch(const std::deque<MlflowItem>& items);

/// The body of runs/log-batch. A value that is no number is "NaN", "Infinity" or "-Infinity", as in the JSON of protocol buffers.
std::string mlflow_batch_body(const std::string& run_id, std::span<const MlflowItem> items);

}  // namespace trireme::tracking
