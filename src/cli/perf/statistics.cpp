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

MedianInterval median_interval(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t count = values.size();
  // Between the k-th least and the k-th greatest: all but the chance that fewer than k values are on one side.
  double outside = 2.0 * std::pow(0.5, static_cast<double>(count));  // for k = 1
  double term = outside;
  std::size_t k = 1;
  while (2 * (k + 1) <= count) {
    term *= static_cast<double>(count - k + 1) / static_cast<double>(k);
    if (outside + term > 0.05) break;
    outside += term;
    ++k;
  }
  return {.low = values[k - 1],
          .median = percentile(values, 0.5),
          .high = values[count - k],
          .confidence = std::max(0.0, 1.0 - outside)};
}

}  // namespace trireme::cli
