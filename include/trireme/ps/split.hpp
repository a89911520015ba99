// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::ps {

/// Which share of all bytes each server holds so that a step of M bytes takes least time on links of B bytes/s each way, with n
/// workers, of which each also serves, and k processes that only serve:
///   spare server       2(n-1) / (n^2 + kn - 2k)
///   server on a worker  (n-k) / (n^2 + kn - 2k)      (0 from k = n on)
///   time            2n(n-1)M / ((n^2 + kn - 2k)B)
/// k = 0: 1/n each, direct reduce-scatter and all-gather. Source: Jiang et al., "A unified architecture for accelerating
/// distributed DNN training in heterogeneous GPU/CPU clusters" (BytePS), OSDI 2020.
struct OptimalSplit {
  std::uint32_t workers = 1;
  std::uint32_t spare = 0;
  double share_of_worker = 1.0;  ///< of a server on a worker
  double share_of_spare = 0.0;
  /// Errors: invalid_argument without workers.
  static OptimalSplit of(std::uint32_t workers, std::uint32_t spare);
  /// Of servers in order: on workers 0..n-1, then spare ones. The servers with share 0 are left out by who plans keys.
  std::vector<double> shares() const;
};

/// Seconds per step, all links B bytes/s each way, M bytes.
double seconds_all_reduce(std::uint32_t workers, Bytes model, double bytes_per_second);  ///< 2(n-1)M/(nB)
double seconds_spare_only(std::uint32_t workers, std::uint32_t spare, Bytes model,
                          double bytes_per_second);  ///< max(M/B, nM/(kB))
double seconds_optimal(std::uint32_t workers, std::uint32_t spare, Bytes model, double bytes_per_second);

/// The same for links that were measured and differ: shares that equalise the busiest link's time (bytes/s each way per host;
/// workers first, then spare servers), by the same model: a worker sends and receives what other servers hold, a server what it
/// holds times the other workers.
struct MeasuredSplit {
  std::vector<double> shares;  ///< workers first, then spare servers
  double seconds = 0.0;        ///< per step of `model`
  std::string explanation;     ///< why, in one or two lines
};
MeasuredSplit split_for(std::span<const double> worker_bytes_per_second, std::span<const double> spare_bytes_per_second,
                        Bytes model);

}  // namespace trireme::ps
