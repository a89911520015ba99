// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace trireme::cli {

double percentile(std::vector<double> values, double q) {
  if (values.empty()) return 0.0;
  const auto last = static_cast<double>(values.size());
  const auto rank = static_cast<std::size_t>(std::clamp(std::ceil(q * last), 1.0, last));
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(rank - 1);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

std::vector<double> slowest(std::span<const double> rows, std::size_t ranks) {
  const std::size_t iterations = rows.size() / ranks;
  std::vector<double> times(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(iterations));
  for (std::size_t at = iterations; at < rows.size(); ++at) {
    times[at % iterations] = std::max(times[at % iterations], rows[at]);
  }
  return times;
}

double algorithm_bandwidth(Bytes size, double seconds) {
  return seconds > 0 ? static_cast<double>(size.value) / seconds / 1e9 : 0.0;
}

double all_reduce_bus_bandwidth(double algorithm_bandwidth, int ranks) {
  return algorithm_bandwidth * 2.0 * (ranks - 1) / ranks;
}

}  // namespace trireme::cli
