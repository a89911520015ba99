// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/positions_norm.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/layer_norm/layer_norm.hpp"
#include "trireme/tensor_parallel/conjugate.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace trireme::tensor_parallel {

template <class T>
PositionsLayerNorm<T>::PositionsLayerNorm(Axis& axis, std::string name, std::size_t columns)
    : axis_(axis), name_(std::move(name)), columns_(columns), sums_(2 * columns) {}

template <class T>
void PositionsLayerNorm<T>::forward(const T* x, std::size_t rows, const T* gain, const T* bias, T* y, T* means,
                                    T* inverse_roots) {
  const kernels::FloatEnvironment environment;
  kernels::layer_norm<T>({.y = y,
                          .x = x,
                          .gain = gain,
                          .bias = bias,
                          .means = means,
                          .inverse_roots = inverse_roots,
                          .rows = rows,
                          .columns = columns_});
}

template <class T>
void PositionsLayerNorm<T>::backward(const T* x, const T* dy, std::size_t rows, const T* gain, const T* means,
                                     const T* inverse_roots, T* dx, T* dgain, T* dbias) {
  const kernels::FloatEnvironment environment;
  gain_terms_.resize(rows * columns_);
  kernels::layer_norm_backward<T>({.dx = dx,
                                   .gain_terms = gain_terms_.data(),
                                   .dy = dy,
                                   .x = x,
                                   .gain = gain,
                                   .means = means,
                                   .inverse_roots = inverse_roots,
                                   .rows = rows,
                                   .columns = columns_});
  kernels::column_sum(sums_.data(), gain_terms_.data(), rows, columns_);
  kernels::column_sum(sums_.data() + columns_, dy, rows, columns_);
  partial_to_replicated(axis_, std::span<T>(sums_), name_);
  std::copy_n(sums_.begin(), columns_, dgain);
  std::copy_n(sums_.begin() + static_cast<std::ptrdiff_t>(columns_), columns_, dbias);
}

template class PositionsLayerNorm<float>;
template class PositionsLayerNorm<double>;

}  // namespace trireme::tensor_parallel
