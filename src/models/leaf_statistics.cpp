// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/leaf_statistics.hpp"

#include "trireme/base/error.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <string>

namespace trireme::models {

LeafStatistics::LeafStatistics(std::size_t values, int own_leaves)
    : width_(values + 1),
      leaves_(own_leaves),
      stack_(width_ * static_cast<std::size_t>(layout::fold_depth(own_leaves))) {}

void LeafStatistics::begin() {
  next_ = 0;
  depth_ = 0;
}

void LeafStatistics::add(int leaf, std::size_t samples, std::span<const double> statistics) {
  if (leaf < next_ || leaf >= leaves_ || statistics.size() + 1 != width_) {
    fail(ErrorCode::invalid_argument, std::to_string(statistics.size()) + " statistics of leaf " +
                                          std::to_string(leaf) + ", where " + std::to_string(width_ - 1) +
                                          " of one from " + std::to_string(next_) + " to " +
                                          std::to_string(leaves_ - 1) + " were due");
  }
  push_up_to(leaf);
  ++depth_;
  const auto weight = static_cast<double>(samples);
  for (std::size_t i = 0; i + 1 < width_; ++i) top()[i] = weight * statistics[i];
  top()[width_ - 1] = weight;
  settle(leaf);
}

/// Leaves without samples: the identity of the sum.
void LeafStatistics::push_up_to(int leaf) {
  while (next_ < leaf) {
    ++depth_;
    std::fill_n(top(), width_, -0.0);
    settle(next_);
  }
}

void LeafStatistics::settle(int leaf) {
  for (int n = layout::combines_after(leaves_, leaf); n > 0; --n) {
    --depth_;
    double* left = top();
    for (std::size_t i = 0; i < width_; ++i) left[i] = left[i] + left[width_ + i];
  }
  next_ = leaf + 1;
}

std::span<double> LeafStatistics::sums() {
  push_up_to(leaves_);
  return {stack_.data(), width_};
}

std::span<const double> LeafStatistics::means() {
  const double weight = stack_[width_ - 1];
  if (!(weight > 0.0)) return {};
  for (std::size_t i = 0; i + 1 < width_; ++i) stack_[i] = stack_[i] / weight;
  return {stack_.data(), width_ - 1};
}

}  // namespace trireme::models
