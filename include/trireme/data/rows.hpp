// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/aligned_vector.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::data {

/// A view of samples that have a number for every feature: what a linear model multiplies by its weights. Not owned.
/// Shape: values.size() == size() x features, a row after the other.
struct DenseRows {
  std::size_t features = 0;
  std::span<const float> values;
  std::span<const float> labels;  ///< one for each row, or empty where the data has none
  std::size_t rows = 0;

  std::size_t size() const { return rows; }
  std::span<const float> row(std::size_t i) const { return values.subspan(i * features, features); }
  /// Rows first to first + count - 1.  Shape: first + count <= size().
  DenseRows slice(std::size_t first, std::size_t count) const {
    return {features, values.subspan(first * features, count * features),
            labels.empty() ? labels : labels.subspan(first, count), count};
  }
};

/// A view of samples most of whose features are 0, as compressed sparse rows (CSR). Not owned. x(i) . w is the sum of
/// values[k] w[indices[k]] over k from offsets[i] to offsets[i+1]-1.
/// Shape: offsets.size() == size() + 1, not descending, offsets.back() <= values.size(); indices ascend within a row
///        and are below features. offsets.front() need not be 0: a slice shares its indices and values.
struct SparseRows {
  std::size_t features = 0;
  std::span<const std::uint64_t> offsets;
  std::span<const std::uint32_t> indices;  ///< from 0
  std::span<const float> values;
  std::span<const float> labels;  ///< one for each row

  std::size_t size() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  std::span<const std::uint32_t> row_indices(std::size_t i) const {
    return indices.subspan(offsets[i], offsets[i + 1] - offsets[i]);
  }
  std::span<const float> row_values(std::size_t i) const {
    return values.subspan(offsets[i], offsets[i + 1] - offsets[i]);
  }
  /// Rows first to first + count - 1.  Shape: first + count <= size().
  SparseRows slice(std::size_t first, std::size_t count) const {
    return {features, offsets.subspan(first, count + 1), indices, values, labels.subspan(first, count)};
  }
};

/// Dense rows that are owned: a whole data set, a block of a larger one, or a batch. The first value lies at 64 bytes.
struct DenseTable {
  std::size_t features = 0;
  std::size_t rows = 0;
  AlignedVector<float> values;
  AlignedVector<float> labels;

  std::size_t size() const { return rows; }
  DenseRows view() const { return {features, values, labels, rows}; }
  /// No rows; the memory is kept.
  void clear() {
    rows = 0;
    values.clear();
    labels.clear();
  }
};

/// Sparse rows that are owned.
struct SparseTable {
  std::size_t features = 0;
  AlignedVector<std::uint64_t> offsets = {0};
  AlignedVector<std::uint32_t> indices;
  AlignedVector<float> values;
  AlignedVector<float> labels;

  std::size_t size() const { return labels.size(); }
  SparseRows view() const { return {features, offsets, indices, values, labels}; }
  /// No rows; the memory is kept.
  void clear() {
    offsets.assign(1, 0);
    indices.clear();
    values.clear();
    labels.clear();
  }
};

}  // namespace trireme::data
