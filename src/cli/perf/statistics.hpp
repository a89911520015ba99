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

/// What every rank's link must carry for it, whatever the algorithm: algorithm bandwidth times 2(P-1)/P.
/// Source: nccl-tests, doc/PERFORMANCE.md.
double all_reduce_bus_bandwidth(double algorithm_bandwidth, int ranks);

}  // namespace trireme::cli
