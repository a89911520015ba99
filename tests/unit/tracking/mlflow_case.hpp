// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/tracking/mlflow.hpp"
#include "unit/tracking/fake_mlflow.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::testing {

constexpr std::chrono::milliseconds patience{20'000};

/// A run of `url`'s server, where nobody pauses for long.
inline tracking::MlflowSettings settings_for(const std::string& url, const std::string& run = "r1") {
  return {.base_url = url,
          .run_id = run,
          .first_pause = std::chrono::milliseconds(1),
          .longest_pause = std::chrono::milliseconds(4)};
}

inline tracking::Measurement measured(std::uint64_t step, double value, const std::string& name = "loss") {
  return {.step = step, .time = std::chrono::system_clock::now(), .metrics = {{name, value}}};
}

/// The first `count` requests that `matches` finds fitting get `said`.
inline FakeMlflow::Misbehaviour first(int count, const std::string& path, const HttpAnswer& said) {
  return [count, path, said](const HttpRequest& request) mutable -> std::optional<HttpAnswer> {
    if (request.target.find(path) == std::string::npos || count == 0) return std::nullopt;
    --count;
    return said;
  };
}

/// What `count` measured("loss") make.
inline std::vector<FakeMlflow::Metric> steps(int count) {
  std::vector<FakeMlflow::Metric> all;
  for (int k = 0; k < count; ++k) all.emplace_back("loss", std::to_string(k) + ".5", k);
  return all;
}

}  // namespace trireme::testing
