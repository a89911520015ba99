// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::cli {

/// The mean training loss over many steps, whose bits do not depend on the number of ranks.
///
/// Order: every leaf adds up its own losses over the steps; a rank folds its leaves, and the ranks their results, along
///        the balanced tree over all leaves; then one division.
class LossMeter {
 public:
  explicit LossMeter(std::size_t own_leaves) : sums_(own_leaves, 0.0) {}

  /// A pass over `samples` samples of own leaf `leaf` had this mean loss.
  void add(std::size_t leaf, double mean_loss, std::size_t samples) {
    sums_[leaf] += mean_loss * static_cast<double>(samples);
  }
  /// A step over `batch` samples of all ranks is complete.
  void count(std::size_t batch) { samples_ += batch; }
  std::uint64_t samples() const { return samples_; }

  /// The mean over all samples counted; NaN if there were none. Starts anew. Collective.
  double take(Communicator& communicator, const CallOptions& options);

 private:
  std::vector<double> sums_;
  std::uint64_t samples_ = 0;
};

}  // namespace trireme::cli
