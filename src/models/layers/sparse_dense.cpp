// SPDX-License-Identifier: Apache-2.0
#include "models/layers/sparse_dense.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/sparse_product/sparse_product.hpp"

#include <algorithm>

namespace trireme::models::layers {
namespace {

kernels::SparseMatrix matrix_of(const data::SparseRows& x) {
  return {x.offsets.data(), x.indices.data(), x.values.data(), x.size()};
}

}  // namespace

template <class T>
SparseDense<T>::SparseDense(ParameterStore<T>& store, const DenseOptions& options)
    : store_(store), options_(options), touched_(options.inputs) {
  const auto outputs = static_cast<std::int64_t>(options.outputs);
  weight_ = store.declare(options.name + ".weight", {static_cast<std::int64_t>(options.inputs), outputs},
                          {.bound = options.bound});
  bias_ = store.declare(options.name + ".bias", {outputs}, {.bound = options.bound});
}

template <class T>
T* SparseDense<T>::forward(const data::SparseRows& x) {
  T* y = y_.data();
  kernels::sparse_product(y, matrix_of(x), store_.value(weight_), options_.outputs);
  if (options_.relu) {
    kernels::add_bias_relu(y, store_.value(bias_), x.size(), options_.outputs);
  } else {
    kernels::add_bias(y, store_.value(bias_), x.size(), options_.outputs);
  }
  return y;
}

template <class T>
void SparseDense<T>::backward(const data::SparseRows& x, T* dy, const Classifier::Listener& listener) {
  if (options_.relu) kernels::relu_backward(dy, dy, y_.data(), x.size() * options_.outputs);
  kernels::column_sum(store_.gradient(bias_), dy, x.size(), options_.outputs);
  listener.ready(bias_);
  touched_.assign(x.size() == 0 ? x.indices.first(0)
                                : x.indices.subspan(x.offsets.front(), x.offsets.back() - x.offsets.front()));
  clear_gradient();
  kernels::sparse_product_backward(store_.gradient(weight_), matrix_of(x), dy, options_.outputs);
  listener.ready(weight_);
}

template <class T>
void SparseDense<T>::clear_gradient() {
  T* gradient = store_.gradient(weight_);
  if (!assume_row_sparse_) {
    // All of it, not just what the last call wrote: after a reduction other ranks' sums lie in other rows.
    std::fill_n(gradient, options_.inputs * options_.outputs, T{0});
    return;
  }
  for (const std::size_t feature : touched()) {
    std::fill_n(gradient + feature * options_.outputs, options_.outputs, T{0});
  }
}

template class SparseDense<float>;
template class SparseDense<double>;

}  // namespace trireme::models::layers
