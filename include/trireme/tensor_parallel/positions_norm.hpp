// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/tensor_parallel/axis.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace trireme::tensor_parallel {

/// Layer norm of rows that the ranks of an axis share by positions (sequence parallel): y = (x - mean)/sqrt(variance + 1e-5) gain +
/// bias per row. Gain and bias are whole on every rank; their gradients, sums over all positions, are summed over ranks.
/// Order:   a row's bits are those of kernels::layer_norm wherever it lies; gradients of gain and bias: each rank's rows by the
///          balanced tree, then ranks in canonical order.
/// Cost:    forward nothing sent, backward one all_reduce of 2 columns.
/// Threads, errors: as Axis.  Source: Korthikanti et al., 2022 (arXiv 2205.05198).
template <class T>
class PositionsLayerNorm {
 public:
  PositionsLayerNorm(Axis& axis, std::string name, std::size_t columns);

  /// Shape: x and y rows x columns of this rank's rows; means and inverse_roots one per row, for backward.
  void forward(const T* x, std::size_t rows, const T* gain, const T* bias, T* y, T* means, T* inverse_roots);
  /// dx += the derivative by x; overwrites dgain and dbias with the sums over all ranks' rows.
  void backward(const T* x, const T* dy, std::size_t rows, const T* gain, const T* means, const T* inverse_roots, T* dx,
                T* dgain, T* dbias);

 private:
  Axis& axis_;
  std::string name_;
  std::size_t columns_;
  std::vector<T> gain_terms_;
  std::vector<T> sums_;
};

extern template class PositionsLayerNorm<float>;
extern template class PositionsLayerNorm<double>;

}  // namespace trireme::tensor_parallel
