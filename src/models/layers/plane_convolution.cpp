// SPDX-License-Identifier: Apache-2.0
#include "models/layers/plane_convolution.hpp"

#include "kernels/dense/dense.hpp"

namespace trireme::models::layers {
namespace {

constexpr std::size_t taps = 9;

}  // namespace

template <class T>
PlaneConvolution<T>::PlaneConvolution(ParameterStore<T>& store, Workspace<T>& workspace,
                                      const PlaneConvolutionOptions& options)
    : store_(store), workspace_(workspace), options_(options) {
  const auto outputs = static_cast<std::int64_t>(options.outputs);
  weight_ = store.declare(options.name + ".weight", {outputs, 3, 3, 1}, {.bound = options.bound});
  bias_ = store.declare(options.name + ".bias", {outputs}, {.bound = options.bound});
}

template <class T>
kernels::PlaneShape PlaneConvolution<T>::shape(std::size_t images) const {
  return {
      .images = images, .height = options_.input.height, .width = options_.input.width, .outputs = options_.outputs};
}

template <class T>
void PlaneConvolution<T>::make_room(std::size_t rows) {
  y_.ensure(rows * output().elements());
  places_.ensure(rows * output().elements());
  workspace_.patches.ensure(shape(1).padded());
  workspace_.weight_gradient.ensure(rows * options_.outputs * (taps + 1));
}

template <class T>
T* PlaneConvolution<T>::forward(const T* x, std::size_t rows, Pass) {
  kernels::plane_convolution(y_.data(), places_.data(), x, store_.value(weight_), store_.value(bias_), shape(rows),
                             workspace_.patches.data());
  return y_.data();
}

template <class T>
void PlaneConvolution<T>::backward(const T* x, T* dy, T*, std::size_t rows, const Classifier::Listener& listener) {
  const std::size_t outputs = options_.outputs;
  T* weights = workspace_.weight_gradient.data();  // of every image
  T* biases = weights + rows * outputs * taps;
  kernels::plane_gradients<T>(weights, biases, x, dy, places_.data(), shape(rows), workspace_.patches.data());
  kernels::column_sum(store_.gradient(bias_), biases, rows, outputs);
  listener.ready(bias_);
  kernels::column_sum(store_.gradient(weight_), weights, rows, outputs * taps);
  listener.ready(weight_);
}

template <class T>
void PlaneConvolution<T>::backward_nothing(const Classifier::Listener& listener) {
  this->announce_zero(store_, bias_, listener);
  this->announce_zero(store_, weight_, listener);
}

template class PlaneConvolution<float>;
template class PlaneConvolution<double>;

}  // namespace trireme::models::layers
