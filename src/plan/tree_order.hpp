// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/reduction_tree.hpp"

#include <vector>

namespace trireme::plan {

/// The message that each inner node of a contracted tree stands for: the value of one child, the far one, goes to the
/// rank that keeps the node; the other child is kept by that rank already.
struct TreeEdge {
  int keeper = 0;          ///< rank of the node and of its near child
  int far = 0;             ///< rank of its far child
  bool far_is_raw = true;  ///< the far child is a rank's own contribution
  bool near_is_raw = true;
  bool far_is_left = false;  ///< the far child's ranks come before the near child's
  int far_first = 0;         ///< ranks below the far child, inclusive
  int far_last = 0;
};

/// The contracted tree as messages. In half 0 of the data a node is kept by the lowest rank below it, in half 1 by the
/// highest. A rank sends and receives at most one message at a time: upwards, all nodes of one height at once; a rank's
/// nodes are ancestors of it, so they differ in height, and in depth on the way down.
/// Source: Sanders, Speck, Träff, Two-tree algorithms for full bandwidth broadcast, reduction and scan, Parallel
/// Computing 35(12), 2009: two trees, in each of which the inner ranks of the other are leaves.
class TreeOrder {
 public:
  explicit TreeOrder(const layout::ReductionTree& tree);

  TreeEdge edge(int node, int half) const;
  /// For data that goes to or comes from one rank: a node is kept by `root` if that is below it, otherwise by the
  /// lowest rank. As in a half, a rank's nodes are ancestors of it.
  TreeEdge edge_towards(int node, int root) const;
  const std::vector<int>& upwards() const { return upwards_; }      ///< inner nodes by height, leaves' parents first
  const std::vector<int>& downwards() const { return downwards_; }  ///< inner nodes by depth, the root first
  int root() const { return tree_->root(); }
  int ranks() const { return tree_->ranks(); }
  int height() const { return height_; }  ///< edges on the longest path from the root to a rank

 private:
  TreeEdge edge_between(int near_child, int far_child, int keeper, int far) const;

  const layout::ReductionTree* tree_;
  std::vector<int> upwards_;
  std::vector<int> downwards_;
  int height_ = 0;
};

}  // namespace trireme::plan
