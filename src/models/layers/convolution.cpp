// SPDX-License-Identifier: Apache-2.0
#include "models/layers/convolution.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/patches/patches.hpp"
#include "models/gemm.hpp"

#include <algorithm>

namespace trireme::models::layers {
namespace {

/// Elements of patches gathered at a time: they stay in a second-level cache while they are multiplied.
constexpr std::size_t most_patch_elements = std::size_t{1} << 18;

kernels::PatchShape patch_shape(const ConvolutionOptions& options, std::size_t images) {
  return {.images = images,
          .height = options.input.height,
          .width = options.input.width,
          .channels = options.input.channels,
          .kernel = options.kernel,
          .stride = options.stride};
}

}  // namespace

template <class T>
Convolution<T>::Convolution(ParameterStore<T>& store, Workspace<T>& workspace, const ConvolutionOptions& options)
    : store_(store), workspace_(workspace), options_(options) {
  const kernels::PatchShape shape = patch_shape(options, 1);
  output_ = {shape.out_height(), shape.out_width(), options.outputs};
  group_ = std::max<std::size_t>(most_patch_elements / (shape.patches() * shape.patch()), 1);
  const auto outputs = static_cast<std::int64_t>(options.outputs);
  const auto kernel = static_cast<std::int64_t>(options.kernel);
  weight_ = store.declare(options.name + ".weight",
                          {outputs, kernel, kernel, static_cast<std::int64_t>(options.input.channels)},
                          {.bound = options.bound});
  if (options.bias) bias_ = store.declare(options.name + ".bias", {outputs}, {.bound = options.bound});
}

template <class T>
void Convolution<T>::make_room(std::size_t rows) {
  y_.ensure(rows * output_.elements());
  workspace_.weight_gradient.ensure(output_.channels * patch());
  if (!pointwise()) workspace_.patches.ensure(std::min(group_, rows) * output_.pixels() * patch());
}

/// Calls visit(first image, images).
template <class T>
template <class Visit>
void Convolution<T>::for_each_group(std::size_t rows, Visit visit) const {
  for (std::size_t first = 0; first < rows; first += group_) visit(first, std::min(group_, rows - first));
}

template <class T>
const T* Convolution<T>::patches_of(const T* x, std::size_t first, std::size_t images) {
  const T* from = x + first * options_.input.elements();
  if (pointwise()) return from;
  kernels::gather_patches(workspace_.patches.data(), from, patch_shape(options_, images));
  return workspace_.patches.data();
}

template <class T>
T* Convolution<T>::forward(const T* x, std::size_t rows, Pass) {
  const std::size_t outputs = output_.channels;
  for_each_group(rows, [&](std::size_t first, std::size_t images) {
    const std::size_t pixels = images * output_.pixels();
    T* y = y_.data() + first * output_.elements();
    gemm(Form::plain, Form::transposed, pixels, outputs, patch(), patches_of(x, first, images), store_.value(weight_),
         y);
    if (options_.bias && options_.relu) {
      kernels::add_bias_relu(y, store_.value(bias_), pixels, outputs);
    } else if (options_.bias) {
      kernels::add_bias(y, store_.value(bias_), pixels, outputs);
    }
  });
  return y_.data();
}

template <class T>
void Convolution<T>::backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) {
  const std::size_t outputs = output_.channels;
  if (options_.relu) kernels::relu_backward(dy, dy, y_.data(), rows * output_.elements());
  if (options_.bias) {
    kernels::column_sum(store_.gradient(bias_), dy, rows * output_.pixels(), outputs);
    listener.ready(bias_);
  }
  for_each_group(rows, [&](std::size_t first, std::size_t images) {
    T* gradient = first == 0 ? store_.gradient(weight_) : workspace_.weight_gradient.data();
    gemm(Form::transposed, Form::plain, outputs, patch(), images * output_.pixels(), dy + first * output_.elements(),
         patches_of(x, first, images), gradient);
    if (first != 0) kernels::add_bias(store_.gradient(weight_), gradient, 1, outputs * patch());
  });
  listener.ready(weight_);
  if (dx == nullptr) return;
  for_each_group(rows, [&](std::size_t first, std::size_t images) {
    T* to = dx + first * options_.input.elements();
    T* patches = pointwise() ? to : workspace_.patches.data();
    gemm(Form::plain, Form::plain, images * output_.pixels(), patch(), outputs, dy + first * output_.elements(),
         store_.value(weight_), patches);
    if (!pointwise()) kernels::scatter_patches(to, patches, patch_shape(options_, images));
  });
}

template <class T>
void Convolution<T>::backward_nothing(const Classifier::Listener& listener) {
  if (options_.bias) this->announce_zero(store_, bias_, listener);
  this->announce_zero(store_, weight_, listener);
}

template class Convolution<float>;
template class Convolution<double>;

}  // namespace trireme::models::layers
