// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"
#include "trireme/base/tensor_view.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::parallel {

/// A sum of weighted gradients of leaves, of a parameter of which they touch few rows: those rows, packed. Every other row
/// is +0; while there are only leaves of weight 0 in the sum, it is -0, the identity of addition.
/// Cost: time and memory of the rows touched. The bits are those of the same sum over all rows.
/// Threads: one at a time.
class RowSum {
 public:
  /// What add() works in: one for any number of sums.
  struct Workspace {
    std::vector<std::uint32_t> rows;
    std::vector<std::byte> left, right;
  };

  /// `columns`: elements of a row; `dtype`: in which is added, f32 or f64.
  RowSum(std::size_t columns, DType dtype) : columns_(columns), dtype_(dtype) {}

  /// A leaf of weight 0: no rows, and the identity for all others.
  void assign_identity();
  /// A(g * A(weight)) of `rows` of `gradient`, which are ascending and distinct; the others are +0.
  void assign(const TensorView& gradient, std::span<const std::uint32_t> rows, double weight);
  /// this = this + right, element by element, over the rows of both.
  void add(const RowSum& right, Workspace& workspace);

  std::span<const std::uint32_t> rows() const { return rows_; }
  /// Of rows(), one after the other.
  const std::byte* values() const { return values_.data(); }
  /// The rows `among`, which have all of rows() among them, one after the other.
  void lay_out(std::byte* memory, std::span<const std::uint32_t> among) const;
  /// All of `count` rows.
  void lay_out_all(std::byte* memory, std::size_t count) const;

 private:
  std::size_t row_bytes() const { return columns_ * size_of(dtype_); }
  void fill_untouched(std::byte* memory, std::size_t rows) const;

  std::size_t columns_;
  DType dtype_;
  bool identity_ = true;  ///< what is in no row is -0
  std::vector<std::uint32_t> rows_;
  std::vector<std::byte> values_;  ///< at least of these rows; it never shrinks
};

/// The end of the run of consecutive rows that begins at rows[begin].
inline std::size_t end_of_run(std::span<const std::uint32_t> rows, std::size_t begin) {
  std::size_t end = begin + 1;
  while (end < rows.size() && rows[end] == rows[end - 1] + 1) ++end;
  return end;
}

}  // namespace trireme::parallel
