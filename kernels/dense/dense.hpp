// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>
#include <cstdint>

// What a dense layer and its loss need beside matrix products. T is float or double; matrices are row-major and dense.
// No function here calls exp or log of the C library, whose bits differ between processors.
namespace trireme::kernels {

/// values[r][c] = values[r][c] + bias[c].
template <class T>
void add_bias(T* values, const T* bias, std::size_t rows, std::size_t columns, Isa isa = best_isa()) noexcept;

/// values[r][c] = max(0, values[r][c] + bias[c]); a NaN stays.
template <class T>
void add_bias_relu(T* values, const T* bias, std::size_t rows, std::size_t columns, Isa isa = best_isa()) noexcept;

/// dx[i] = activation[i] > 0 ? dy[i] : 0, with `activation` what add_bias_relu wrote.
/// Shape: count elements each; dx may be dy's or activation's own memory.
template <class T>
void relu_backward(T* dx, const T* dy, const T* activation, std::size_t count, Isa isa = best_isa()) noexcept;

/// result[c] = sum over r of matrix[r][c]: the gradient of a bias. No rows give zeros.
/// Shape: result apart from matrix.
/// Order: the balanced tree over rows (a node of n rows splits at the largest power of two strictly below n), in T.
template <class T>
void column_sum(T* result, const T* matrix, std::size_t rows, std::size_t columns, Isa isa = best_isa()) noexcept;

/// Arguments of softmax_cross_entropy().
template <class T>
struct SoftmaxCrossEntropyCall {
  const T* logits = nullptr;             ///< rows x classes
  const std::uint8_t* labels = nullptr;  ///< rows; below `classes` (otherwise the row's loss is NaN)
  std::size_t rows = 0;
  std::size_t classes = 0;   ///< 1 to 256
  double* losses = nullptr;  ///< rows; null when not wanted
  T* gradient = nullptr;     ///< rows x classes, may be the logits' own memory; null when not wanted
};

/// losses[r] = log(sum_j exp(z_rj)) - z_r,label; gradient[r][j] = (softmax(z_r)_j - [j = label]) / rows: the gradient
/// of the mean loss. Returns how many rows have their greatest logit (the first of equals) at the label.
/// Order: in f64, shifted by the row's maximum; the sum over classes by eight lanes as in norm.hpp; the gradient
///        rounded to T once. The same bits on every Isa.
template <class T>
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<T>& call, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
