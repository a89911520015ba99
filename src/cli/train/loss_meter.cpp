// SPDX-License-Identifier: Apache-2.0
#include "cli/train/loss_meter.hpp"

#include "kernels/norm/norm.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <span>

namespace trireme::cli {

double LossMeter::take(Communicator& communicator, const CallOptions& options) {
  kernels::TreeSum own;
  for (const double sum : sums_) own.add(sum);
  std::array<double, 1> total{own.result()};
  communicator.all_reduce(std::span<double>(total), sum, options);
  const double mean =
      samples_ == 0 ? std::numeric_limits<double>::quiet_NaN() : total[0] / static_cast<double>(samples_);
  std::fill(sums_.begin(), sums_.end(), 0.0);
  samples_ = 0;
  return mean;
}

}  // namespace trireme::cli
