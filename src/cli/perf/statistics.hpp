// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace trireme::cli {

/// The smallest value that at least the fraction `q` of all values does not exceed (nearest rank); 0 of none.
/// Shape: 0 < q <= 1.
double percentile(std::vector<double> values, double q);

/// Of `ranks` rows of times, one per rank, iteration by iteration the slowest rank's.
std::vector<double> slowest(std::span<const double> rows, std::size_t ranks);

/// Bytes of the vector per second, in units of 1e9; 0 for no time.
double algorithm_bandwidth(Bytes size, double seconds);

/// The median of the population that `values` were drawn from lies between the two with probability `confidence`: values
/// as far from both ends as 95 % allow, the least and the greatest where there are fewer than six.
/// Source: order statistics; the number of values below the median is binomial with p = 1/2.
struct MedianInterval {
  double low = 0.0;
  double median = 0.0;
  double high = 0.0;
  double confidence = 0.0;
};
MedianInterval median_interval(std::vector<double> values);

}  // namespace trireme::cli
