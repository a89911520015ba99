// SPDX-License-Identifier: Apache-2.0
#include "cli/train/loss_meter.hpp"

#include "kernels/norm/norm.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

namespace trireme::cli {
namespace {

double sum_of_all(Communicator& communicator, const std::vector<double>& leaves, const CallOptions& options) {
  kernels::TreeSum own;
  for (const double each : leaves) own.add(each);
  std::array<double, 1> total{own.result()};
  communicator.all_reduce(std::span<double>(total), sum, options);
  return total[0];
}

}  // namespace

void LossMeter::count(std::size_t batch) {
  for (std::size_t leaf = 0; leaf < sums_.size(); ++leaf) sums_[leaf] += std::exchange(under_way_[leaf], 0.0);
  samples_ += batch;
}

double LossMeter::sum_under_way(Communicator& communicator, const CallOptions& options) const {
  return sum_of_all(communicator, under_way_, options);
}

std::span<double> LossMeter::restore(std::uint64_t samples) {
  std::fill(sums_.begin(), sums_.end(), 0.0);
  std::fill(under_way_.begin(), under_way_.end(), 0.0);
  samples_ = samples;
  return sums_;
}

double LossMeter::take(Communicator& communicator, const CallOptions& options) {
  const double total = sum_of_all(communicator, sums_, options);
  const double mean = samples_ == 0 ? std::numeric_limits<double>::quiet_NaN() : total / static_cast<double>(samples_);
  std::fill(sums_.begin(), sums_.end(), 0.0);
  std::fill(under_way_.begin(), under_way_.end(), 0.0);
  samples_ = 0;
  return mean;
}

}  // namespace trireme::cli
