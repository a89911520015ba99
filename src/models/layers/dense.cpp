// SPDX-License-Identifier: Apache-2.0
#include "models/layers/dense.hpp"

#include "kernels/dense/dense.hpp"
#include "models/gemm.hpp"

namespace trireme::models::layers {

template <class T>
Dense<T>::Dense(ParameterStore<T>& store, const DenseOptions& options) : store_(store), options_(options) {
  const auto outputs = static_cast<std::int64_t>(options.outputs);
  weight_ = store.declare(options.name + ".weight", {outputs, static_cast<std::int64_t>(options.inputs)},
                          {.bound = options.bound});
  bias_ = store.declare(options.name + ".bias", {outputs}, {.bound = options.bound});
}

template <class T>
T* Dense<T>::forward(const T* x, std::size_t rows, Pass) {
  T* y = y_.data();
  gemm(Form::plain, Form::transposed, rows, options_.outputs, options_.inputs, x, store_.value(weight_), y);
  if (options_.relu) {
    kernels::add_bias_relu(y, store_.value(bias_), rows, options_.outputs);
  } else {
    kernels::add_bias(y, store_.value(bias_), rows, options_.outputs);
  }
  return y;
}

template <class T>
void Dense<T>::backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) {
  if (options_.relu) kernels::relu_backward(dy, dy, y_.data(), rows * options_.outputs);
  kernels::column_sum(store_.gradient(bias_), dy, rows, options_.outputs);
  listener.ready(bias_);
  gemm(Form::transposed, Form::plain, options_.outputs, options_.inputs, rows, dy, x, store_.gradient(weight_));
  listener.ready(weight_);
  if (dx == nullptr) return;
  gemm(Form::plain, Form::plain, rows, options_.inputs, options_.outputs, dy, store_.value(weight_), dx);
}

template <class T>
void Dense<T>::backward_nothing(const Classifier::Listener& listener) {
  this->announce_zero(store_, bias_, listener);
  this->announce_zero(store_, weight_, listener);
}

template class Dense<float>;
template class Dense<double>;

}  // namespace trireme::models::layers
