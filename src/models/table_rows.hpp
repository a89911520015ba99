// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/aligned_buffer.hpp"
#include "trireme/data/rows.hpp"

namespace trireme::models {

/// Errors: invalid_argument unless the values are those of rows of so many features. No rows fit any model.
void check_rows(const data::DenseRows& rows, std::size_t features);
/// Errors: invalid_argument unless offsets ascend within what is stored and every index is below the features of the rows,
///         which may be fewer than those of the model. No rows fit any model.
void check_rows(const data::SparseRows& rows, std::size_t features);

/// Rows first to first + count - 1, with their labels if there are labels.  Shape: first + count <= rows.size().
inline data::DenseRows block_of(const data::DenseRows& rows, std::size_t first, std::size_t count) {
  return rows.slice(first, count);
}
inline data::SparseRows block_of(const data::SparseRows& rows, std::size_t first, std::size_t count) {
  return {rows.features, rows.offsets.subspan(first, count + 1), rows.indices, rows.values,
          rows.labels.empty() ? rows.labels : rows.labels.subspan(first, count)};
}

/// The values in T, 64-byte aligned: where they are, or else in `copy` (a matrix product may bracket its sums by the
/// alignment of its operands).
template <class T>
const T* aligned_values(const data::DenseRows& rows, data::AlignedBuffer<T>& copy);

}  // namespace trireme::models
