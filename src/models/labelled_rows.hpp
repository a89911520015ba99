// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/data/aligned_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::models {

/// The features of a call, checked against its labels and the model's shape, 64-byte aligned: where they are, or else in
/// `copy` (a matrix product may bracket its sums by the alignment of its operands).
/// Shape:  at most `most_rows` rows.
/// Errors: invalid_argument when shapes, dtype or a label do not fit.
template <class T>
const T* checked_features(ConstTensorView features, std::span<const std::uint8_t> labels, std::size_t inputs,
                          std::size_t classes, std::size_t most_rows, data::AlignedBuffer<T>& copy);

/// The same of features in memory of any kind, where they are.
/// Errors: invalid_argument when shapes, dtype or a label do not fit.
void check_rows(ConstTensorView features, DType dtype, std::span<const std::uint8_t> labels, std::size_t inputs,
                std::size_t classes, std::size_t most_rows);

/// Errors: invalid_argument unless there are losses for every row or none.
void check_losses(std::span<const double> losses, std::size_t rows);

}  // namespace trireme::models
