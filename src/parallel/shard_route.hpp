// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/op.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace trireme::parallel {

/// Which ranks share the shards, and how a bucket of all ranks is summed for its owners in the brackets of the whole tree.
/// Threads: one at a time.
class ShardRoute {
 public:
  /// Groups of `group_size` consecutive ranks. `leaves`: of the tree, of which each rank has its block.
  /// Collective.  Shape: group_size divides the ranks.
  ShardRoute(const Communicator& all, int group_size, int leaves);

  /// The ranks that share the shards with this one.
  const Communicator& group() const { return group_; }

  /// Whether across() follows reduce().
  bool two_steps() const { return way_ == Way::inside_then_across; }
  /// Whether reduce() leaves the sum in the bucket, not in `own`.
  bool in_bucket() const { return way_ == Way::whole; }
  /// Towards the combination by `op` of every rank's `bucket`: this rank's part comes to be in `own`, over its group alone when
  /// there are two steps. `counts`: of the group's ranks.
  Work reduce(TensorView bucket, TensorView own, std::span<const std::size_t> counts, ReduceOp op, CallOptions options);
  /// The second step: `own` of the group becomes that of all.
  Work across(TensorView own, ReduceOp op, CallOptions options);

  std::string explain() const;

 private:
  enum class Way { inside, inside_then_across, whole };
  Communicator all_;
  int group_size_;
  int leaves_;
  Way way_;
  int group_leaves_ = 0;
  Communicator group_;
  Communicator replicas_;  ///< the ranks of this one's place in every group; all_ where it is not needed
};

}  // namespace trireme::parallel
