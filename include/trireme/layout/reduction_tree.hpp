// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace trireme::layout {

/// A half-open range of leaves [first, first + count).
struct LeafBlock {
  int first = 0;
  int count = 0;
  friend constexpr bool operator==(LeafBlock, LeafBlock) = default;
};

/// The aligned blocks of `leaves` leaves that `ranks` ranks own, in rank order: the largest block is split (at the
/// largest power of two strictly below its size) until there are `ranks`; ties split the last one. 8 leaves on 3
/// ranks: 4, 2, 2.
/// Errors: invalid_argument unless 1 <= ranks <= leaves; also for more than 32767 ranks.
std::vector<LeafBlock> leaf_blocks(int leaves, int ranks);

/// The balanced binary tree over `leaves` leaves, contracted at the ranks' blocks: the brackets in which every
/// canonical plan adds. A node of n leaves splits at the largest power of two strictly below n.
/// Nodes 0 .. ranks-1 are the ranks themselves; inner nodes follow in postfix order, the root last.
class ReductionTree {
 public:
  struct Node {
    int left = -1;   ///< node index; -1 for a rank
    int right = -1;  ///< node index; -1 for a rank
    int first_rank = 0;
    int last_rank = 0;  ///< inclusive
  };

  /// Errors: invalid_argument unless 1 <= ranks <= leaves.
  static ReductionTree contracted(int leaves, int ranks);

  int ranks() const { return ranks_; }
  int leaves() const { return leaves_; }
  /// Every block holds the same number of leaves and `ranks` is a power of two: the tree is the binomial tree.
  bool equal_power_of_two_blocks() const { return equal_; }
  std::span<const Node> nodes() const { return nodes_; }
  int root() const { return static_cast<int>(nodes_.size()) - 1; }

  /// The tree as a postfix program: a token k >= 0 pushes rank k's contribution, `combine` replaces the two top values
  /// (left below right) by their combination.
  std::span<const std::int16_t> postfix() const { return postfix_; }
  static constexpr std::int16_t combine = -1;

 private:
  int ranks_ = 0;
  int leaves_ = 0;
  bool equal_ = false;
  std::vector<Node> nodes_;
  std::vector<std::int16_t> postfix_;
};

/// For folding `leaves` leaves that arrive one after the other, in order, on a stack: how many times the two top
/// values are combined after leaf `leaf` has been pushed. The balanced tree of ReductionTree.
/// Example: 4 leaves: 0, 1, 0, 2.  Shape: 0 <= leaf < leaves.
int combines_after(int leaves, int leaf);

/// Values on the stack at most at a time while folding `leaves` leaves: floor(log2(leaves)) + 1. Shape: leaves >= 1.
int fold_depth(int leaves);

}  // namespace trireme::layout
