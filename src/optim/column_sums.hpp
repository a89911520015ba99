// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/flat_shards.hpp"
#include "trireme/optim/optimizer.hpp"

#include <algorithm>
#include <cstddef>

namespace trireme::optim {

/// The sums of squares of every column, each by the rule of blocks and lanes over its elements: as if it were a tensor of
/// its own. Fed row by row; `lane` and `depth` hold the sums under way.
class ColumnSums {
 public:
  /// Doubles of working memory for a matrix.
  static std::size_t room(const TensorShape& shape) { return shape.columns * (lanes + depth_of(shape.rows)); }

  ColumnSums(const TensorShape& shape, double* memory)
      : columns_(shape.columns), lane_(memory), blocks_(memory + lanes * columns_) {
    std::fill_n(lane_, lanes * columns_, 0.0);
  }

  template <class T>
  void add_row(const T* row, std::size_t begin, std::size_t end) {
    double* lane = lane_ + in_block_ % lanes * columns_;
    for (std::size_t c = begin; c < end; ++c) {
      const auto g = static_cast<double>(row[c - begin]);
      lane[c] += g * g;
    }
    if (end != columns_) return;
    if (++in_block_ == layout::reduction_block) close_block();
  }

  /// The sums, columns() of them.
  const double* finish() {
    if (in_block_ != 0) close_block();
    double* sum = blocks_ + (depth_ - 1) * columns_;
    for (std::size_t k = depth_ - 1; k > 0; --k) add(blocks_ + (k - 1) * columns_, sum, sum);
    return sum;
  }

 private:
  static constexpr std::size_t lanes = 8;
  /// Levels of the binary counter over blocks.
  static std::size_t depth_of(std::size_t rows) {
    std::size_t depth = 1;
    for (std::size_t blocks = (rows + layout::reduction_block - 1) / layout::reduction_block; blocks > 1; blocks /= 2)
      ++depth;
    return depth + 1;
  }
  void add(const double* left, const double* right, double* to) const {
    for (std::size_t c = 0; c < columns_; ++c) to[c] = left[c] + right[c];
  }
  void close_block() {
    for (std::size_t width = 1; width < lanes; width *= 2) {
      for (std::size_t j = 0; j < lanes; j += 2 * width)
        add(lane_ + j * columns_, lane_ + (j + width) * columns_, lane_ + j * columns_);
    }
    std::copy_n(lane_, columns_, blocks_ + depth_ * columns_);
    for (std::size_t n = count_; (n & 1u) != 0; n >>= 1) {
      --depth_;
      add(blocks_ + depth_ * columns_, blocks_ + (depth_ + 1) * columns_, blocks_ + depth_ * columns_);
    }
    ++depth_;
    ++count_;
    in_block_ = 0;
    std::fill_n(lane_, lanes * columns_, 0.0);
  }

  std::size_t columns_;
  double* lane_;
  double* blocks_;
  std::size_t in_block_ = 0;  // rows of the block under way
  std::size_t count_ = 0;     // blocks closed
  std::size_t depth_ = 0;     // of the counter
};

/// Calls each(row, first column, last column, elements) for the pieces of rows that a flat range consists of.
template <class T, class Each>
void for_rows(const T* elements, std::size_t begin, std::size_t count, std::size_t columns, Each each) {
  for (std::size_t at = 0; at < count;) {
    const std::size_t row = (begin + at) / columns, column = (begin + at) % columns;
    const std::size_t n = std::min(columns - column, count - at);
    each(row, column, column + n, elements + at);
    at += n;
  }
}

}  // namespace trireme::optim
