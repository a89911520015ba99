// SPDX-License-Identifier: Apache-2.0
#include "bench/device/measure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace trireme::bench {
namespace {

double seconds_of(const Ground& ground, const std::function<void()>& run, int times) {
  const auto begin = std::chrono::steady_clock::now();
  for (int k = 0; k < times; ++k) run();
  ground.stream.synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

Interval time_of(const Ground& ground, const std::function<void()>& run, int batches, double batch_seconds) {
  seconds_of(ground, run, 3);
  const double once = seconds_of(ground, run, 5) / 5;
  const int times = static_cast<int>(std::clamp(std::ceil(batch_seconds / once), 1.0, 10000.0));
  std::vector<double> seconds;
  for (int b = 0; b < batches; ++b) seconds.push_back(seconds_of(ground, run, times) / times);
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), seconds.back()};
}

}  // namespace trireme::bench
