// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>
#include <cstdint>

namespace trireme::kernels {

/// Arguments of token_cross_entropy().
template <class T>
struct TokenCrossEntropyCall {
  const T* logits = nullptr;               ///< rows x classes, row-major and dense, of float or double
  const std::uint16_t* targets = nullptr;  ///< rows; below `classes` (otherwise the row's loss is NaN)
  std::size_t rows = 0;
  std::size_t classes = 0;   ///< 1 to 65536
  double* losses = nullptr;  ///< rows; null when not wanted
  T* gradient = nullptr;     ///< rows x classes, may be the logits' own memory; null when not wanted
};

/// losses[r] = log(sum_j exp(z_rj)) - z_r,target; gradient[r][j] = (softmax(z_r)_j - [j = target]) / rows: the gradient of
/// the mean loss. What softmax_cross_entropy of dense.hpp does, for a vocabulary: exp in T, no prediction counted.
/// Order: shifted by the row's maximum; the sum in f64 by the eight lanes of norm.hpp; the loss in f64. The same bits on
///        every Isa.
/// Cost:  one exp per logit, no memory beside the call's.
template <class T>
void token_cross_entropy(const TokenCrossEntropyCall<T>& call, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
