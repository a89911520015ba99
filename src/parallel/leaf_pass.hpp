// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace trireme::parallel {

/// A leaf as a fold along the balanced tree sees it: `below` partial sums wait on the stack, and it completes `combines` of
/// them.
struct FoldedLeaf {
  double weight = 0.0;
  int below = 0;
  int combines = 0;
};

/// Which own leaf of the step is under way, its weight, and which gradients it has delivered; refuses calls out of order.
/// Threads: one at a time.
class LeafPass {
 public:
  LeafPass(std::size_t parameters, int own_leaves) : own_leaves_(own_leaves), settled_(parameters, false) {}

  void begin_step();
  /// Errors: invalid_argument before the last one ended, or when there are no more.
  void begin_leaf(double weight);
  /// Errors: invalid_argument outside of a leaf, after its first touch(), or unless finite and at least 0.
  void set_weight(double weight);
  /// Errors: invalid_argument outside of a leaf.
  void end_leaf();
  /// Errors: invalid_argument unless all own leaves have been passed.
  void check_passed() const;
  /// Errors: invalid_argument naming `call` outside of a leaf.
  void check_in_leaf(const std::string& call) const;

  /// The first ready(): the weight can change no more. Whether it was the first.
  bool touch();
  void settle(std::size_t parameter) { settled_[parameter] = true; }
  bool settled(std::size_t parameter) const { return settled_[parameter]; }

  /// Index of the leaf among own ones.
  int index() const { return leaf_; }
  bool last() const { return last_; }
  double weight() const { return leaf_of_fold_.weight; }
  const FoldedLeaf& folded() const { return leaf_of_fold_; }

 private:
  int own_leaves_;
  int leaf_ = -1;
  FoldedLeaf leaf_of_fold_;
  bool in_leaf_ = false;
  bool last_ = false;
  bool touched_ = false;
  std::vector<bool> settled_;
};

}  // namespace trireme::parallel
