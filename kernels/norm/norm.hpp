// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <cstddef>

namespace trireme::kernels {

/// The sum of the squares of one block of a tensor, in f64. A square of f64 is rounded before it is added; those of
/// narrower types are exact.
/// Shape:   count <= layout::reduction_block elements of a floating type, starting at a block edge of the logical
///          tensor; any alignment.
/// Order:   lane j of 8 takes the elements congruent to j mod 8 in ascending order, from +0; then
///          ((0+1)+(2+3))+((4+5)+(6+7)). The same bits on every Isa.
double block_sum_of_squares(const void* data, DType dtype, std::size_t count, Isa isa = best_isa()) noexcept;

/// The sum of one block, by the same rule.
double block_sum(const double* data, std::size_t count, Isa isa = best_isa()) noexcept;

/// The sum of values that arrive one after the other, bracketed as the balanced tree over however many there are (a
/// node of n splits at the largest power of two strictly below n). Feed it block results in order of block index.
/// Cost: amortised one addition per value; 64 partial sums, no heap.
class TreeSum {
 public:
  void add(double value) noexcept {
    // A binary counter: bit k of count_ is a complete subtree of 2^k values waiting on the stack for its right sibling.
    for (std::size_t n = count_; n & 1u; n >>= 1) value = partials_[--depth_] + value;
    partials_[depth_++] = value;
    ++count_;
  }

  std::size_t count() const noexcept { return count_; }

  /// The sum of what was added so far; +0 of nothing. More may be added afterwards.
  double result() const noexcept {
    if (depth_ == 0) return 0.0;
    double sum = partials_[depth_ - 1];
    for (std::size_t k = depth_ - 1; k > 0; --k) sum = partials_[k - 1] + sum;
    return sum;
  }

 private:
  std::size_t count_ = 0;
  std::size_t depth_ = 0;
  double partials_[64] = {};
};

/// The sum of the squares of a whole logical tensor: its blocks, then the tree over blocks.
double sum_of_squares(const void* data, DType dtype, std::size_t count, Isa isa = best_isa()) noexcept;

/// The sum of a whole array, by the same rule (losses, weights).
double sum(const double* data, std::size_t count, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
