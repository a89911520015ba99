// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>

namespace trireme::kernels {

/// Arguments of layer_norm(): matrices are row-major and dense, of float or double.
template <class T>
struct LayerNormCall {
  T* y = nullptr;              ///< rows x columns, apart from x
  const T* x = nullptr;        ///< rows x columns
  const T* gain = nullptr;     ///< columns
  const T* bias = nullptr;     ///< columns
  T* means = nullptr;          ///< rows; for the backward pass
  T* inverse_roots = nullptr;  ///< rows: 1/sqrt(variance + epsilon)
  std::size_t rows = 0;
  std::size_t columns = 0;
  double epsilon = 1e-5;
};

/// y = (x - mean)/sqrt(variance + epsilon) * gain + bias, with mean and (biased) variance of each row.
/// Order: both sums in f64 by the eight lanes of norm.hpp; rounded to T once; then each operation in T. The same bits on
///        every Isa.
/// Source: Ba, Kiros, Hinton, "Layer normalization", 2016 (arXiv 1607.06450).
template <class T>
void layer_norm(const LayerNormCall<T>& call, Isa isa = best_isa()) noexcept;

/// Arguments of layer_norm_backward().
template <class T>
struct LayerNormBackwardCall {
  T* dx = nullptr;                   ///< rows x columns, added to
  T* gain_terms = nullptr;           ///< rows x columns: their column sums are the gradient of the gain
  const T* dy = nullptr;             ///< rows x columns; their column sums are the gradient of the bias
  const T* x = nullptr;              ///< rows x columns
  const T* gain = nullptr;           ///< columns
  const T* means = nullptr;          ///< as layer_norm() wrote them
  const T* inverse_roots = nullptr;  ///< as layer_norm() wrote them
  std::size_t rows = 0;
  std::size_t columns = 0;
};

/// With n the normalised row and a = gain dy: dx += inverse_root (a - mean(a) - n mean(a n)); gain_terms = dy n.
/// Shape: dx, gain_terms and the inputs apart from each other.
/// Order: as layer_norm().
template <class T>
void layer_norm_backward(const LayerNormBackwardCall<T>& call, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
