// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/shard_plan.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/parallel/gradient_synchronizer.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace trireme::parallel {

/// global_norm() of gradients of which every rank has a part, with the same bits: the f64 sums of squares of its blocks of 4096
/// elements are all-gathered, and every rank adds them along the tree over blocks, then over tensors.
/// Cost:    8 bytes per block from its owner to every other rank.
/// Threads: one at a time.  Errors: the communicator's.
class ShardedNorm {
 public:
  /// `whole`: a flag for each parameter of which every rank has all.
  ShardedNorm(Communicator group, std::span<const Parameter> parameters, const ShardPlan& shards,
              std::vector<bool> whole, std::optional<std::chrono::milliseconds> deadline);

  /// Of the parameters that were used. Collective.
  double operator()(GradientSynchronizer& gradients);

 private:
  /// Blocks of one parameter that stand together in sums_.
  struct Run {
    std::size_t parameter = 0;
    std::size_t first = 0;
    std::size_t blocks = 0;
  };
  Communicator group_;
  std::vector<bool> whole_;
  std::optional<std::chrono::milliseconds> deadline_;
  std::vector<std::vector<Run>> runs_;  ///< per parameter, in rank order
  std::vector<Run> own_;
  std::vector<std::size_t> counts_;  ///< blocks of each rank
  ArenaBuffer sums_;                 ///< of all ranks' blocks
};

}  // namespace trireme::parallel
