// SPDX-License-Identifier: Apache-2.0
#include "models/mesh_norm.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/layer_norm/layer_norm.hpp"

namespace trireme::models {

template <class T>
MeshNorm<T>::MeshNorm(tensor_parallel::Axis& axis, const std::string& name, std::size_t columns, bool by_positions)
    : columns_(columns) {
  if (by_positions) by_positions_.emplace(axis, name, columns);
}

template <class T>
void MeshNorm<T>::forward(const T* x, std::size_t rows, const T* gain, const T* bias, T* y,
                          NormStatistics<T>& statistics) {
  kernels::layer_norm<T>({.y = y,
                          .x = x,
                          .gain = gain,
                          .bias = bias,
                          .means = statistics.means.data(),
                          .inverse_roots = statistics.inverse_roots.data(),
                          .rows = rows,
                          .columns = columns_});
}

template <class T>
void MeshNorm<T>::backward(const Backward& call) {
  if (by_positions_) {
    by_positions_->backward(call.x, call.dy, call.rows, call.gain, call.statistics->means.data(),
                            call.statistics->inverse_roots.data(), call.delta, call.sums, call.sums + columns_);
    return;
  }
  kernels::layer_norm_backward<T>({.dx = call.delta,
                                   .gain_terms = call.gain_terms,
                                   .dy = call.dy,
                                   .x = call.x,
                                   .gain = call.gain,
                                   .means = call.statistics->means.data(),
                                   .inverse_roots = call.statistics->inverse_roots.data(),
                                   .rows = call.rows,
                                   .columns = columns_});
  kernels::column_sum(call.sums, call.gain_terms, call.rows, columns_);
  kernels::column_sum(call.sums + columns_, call.dy, call.rows, columns_);
}

template class MeshNorm<float>;
template class MeshNorm<double>;

}  // namespace trireme::models
