// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace trireme::models {

/// The mean over a step's leaves, weighted by their samples, of what a model finds on each: this rank's part of it.
/// Usage:  per step begin(); add() after the pass of each own leaf; sums(), which the ranks add up (all_reduce in
///         canonical order with all leaves); means() of the result.
/// Order:  in f64: weight times statistic, rounded; the own leaves along the balanced tree over all leaves, of which they are
///         an aligned block. A leaf without samples changes no bit. So the means do not depend on the number of ranks.
/// Cost:   no heap after construction.
/// Source: the sum is exact for leaves of unequal weights, unlike a mean of means.
class LeafStatistics {
 public:
  /// Shape: `values` statistics per leaf, `own_leaves` leaves of this rank, at least 1.
  LeafStatistics(std::size_t values, int own_leaves);

  void begin();
  /// Own leaf `leaf` (0 is the first) had these statistics over `samples` samples. In ascending order; leaves left out
  /// have no samples.
  /// Errors: invalid_argument for leaves out of order and statistics of another number.
  void add(int leaf, std::size_t samples, std::span<const double> statistics);
  /// What the ranks add up: the weighted sums, then the weight. Until the next begin(); the caller may write here.
  std::span<double> sums();
  /// Divides what sums() gave, once it is the sum over all ranks; empty when no leaf had samples.
  std::span<const double> means();

 private:
  double* top() { return stack_.data() + (depth_ - 1) * width_; }
  void push_up_to(int leaf);
  void settle(int leaf);

  std::size_t width_;
  int leaves_;
  int next_ = 0;           // own leaf
  std::size_t depth_ = 0;  // partial sums on the stack
  std::vector<double> stack_;
};

}  // namespace trireme::models
