// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::cli {

/// The mean training loss over many steps, whose bits do not depend on the number of ranks.
///
/// Order: every leaf adds up its own losses over the steps; a rank folds its leaves, and the ranks their results, along
///        the balanced tree over all leaves; then one division.
class LossMeter {
 public:
  explicit LossMeter(std::size_t own_leaves) : sums_(own_leaves, 0.0), under_way_(own_leaves, 0.0) {}

  /// A pass over `samples` samples of own leaf `leaf` had this mean loss, in the step under way.
  void add(std::size_t leaf, double mean_loss, std::size_t samples) {
    under_way_[leaf] += mean_loss * static_cast<double>(samples);
  }
  /// The step under way, over `batch` samples of all ranks, is complete. What a step added that never is does not count.
  void count(std::size_t batch);
  /// The sum of the losses of the step under way, over all ranks. Collective.
  double sum_under_way(Communicator& communicator, const CallOptions& options) const;
  std::uint64_t samples() const { return samples_; }

  /// For checkpoints: the sums of the own leaves; and, set to zero, to be filled, with `samples` of all ranks counted.
  std::span<const double> sums() const { return sums_; }
  std::span<double> restore(std::uint64_t samples);

  /// The mean over all samples counted, and only them; NaN if there were none. Starts anew. Collective.
  double take(Communicator& communicator, const CallOptions& options);

 private:
  std::vector<double> sums_;       // of complete steps, per own leaf
  std::vector<double> under_way_;  // of the step under way, per own leaf
  std::uint64_t samples_ = 0;
};

}  // namespace trireme::cli
