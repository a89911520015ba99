// SPDX-License-Identifier: Apache-2.0
#include "models/layers/pooled_convolution.hpp"

#include "kernels/dense/dense.hpp"
#include "models/gemm.hpp"

#include <algorithm>

namespace trireme::models::layers {
namespace {

/// Elements of patches gathered at a time: they stay in a second-level cache while they are multiplied.
constexpr std::size_t most_patch_elements = std::size_t{1} << 16;

}  // namespace

template <class T>
PooledConvolution<T>::PooledConvolution(ParameterStore<T>& store, Workspace<T>& workspace,
                                        const PooledConvolutionOptions& options)
    : store_(store), workspace_(workspace), options_(options), patch_(9 * options.input.channels) {
  group_ = std::max<std::size_t>(most_patch_elements / (options.input.pixels() * patch_), 1);
  const auto outputs = static_cast<std::int64_t>(options.outputs);
  weight_ = store.declare(options.name + ".weight", {outputs, 3, 3, static_cast<std::int64_t>(options.input.channels)},
                          {.bound = options.bound});
  bias_ = store.declare(options.name + ".bias", {outputs}, {.bound = options.bound});
}

template <class T>
void PooledConvolution<T>::make_room(std::size_t rows) {
  const std::size_t pixels = std::min(group_, rows) * options_.input.pixels();
  y_.ensure(rows * output().elements());
  places_.ensure(rows * output().elements());
  workspace_.patches.ensure(pixels * patch_);
  workspace_.unpooled.ensure(pixels * options_.outputs);
  workspace_.weight_gradient.ensure(options_.outputs * patch_);
}

template <class T>
template <class Visit>
void PooledConvolution<T>::for_each_group(std::size_t rows, Visit visit) const {
  for (std::size_t first = 0; first < rows; first += group_) {
    const std::size_t images = std::min(group_, rows - first);
    visit(Group{first, images, images * options_.input.pixels()});
  }
}

template <class T>
kernels::PatchShape PooledConvolution<T>::patch_shape(const Group& group) const {
  const ImageExtent& input = options_.input;
  return {.images = group.images, .height = input.height, .width = input.width, .channels = input.channels};
}

template <class T>
kernels::PoolShape PooledConvolution<T>::pool_shape(const Group& group) const {
  const ImageExtent& input = options_.input;
  return {.images = group.images, .height = input.height, .width = input.width, .channels = options_.outputs};
}

template <class T>
const T* PooledConvolution<T>::patches_of(const T* x, const Group& group) {
  T* patches = workspace_.patches.data();
  kernels::gather_patches(patches, x + group.first * options_.input.elements(), patch_shape(group));
  return patches;
}

/// The derivative by the convolution's outputs, of which each window has one that is not 0.
template <class T>
const T* PooledConvolution<T>::spread(const T* dy, const Group& group) {
  const std::size_t begin = group.first * output().elements();
  T* unpooled = workspace_.unpooled.data();
  kernels::pooled_relu_backward(unpooled, dy + begin, places_.data() + begin, pool_shape(group));
  return unpooled;
}

template <class T>
T* PooledConvolution<T>::forward(const T* x, std::size_t rows, Pass) {
  T* unpooled = workspace_.unpooled.data();
  for_each_group(rows, [&](const Group& group) {
    gemm(Form::plain, Form::transposed, group.pixels, options_.outputs, patch_, patches_of(x, group),
         store_.value(weight_), unpooled);
    const std::size_t begin = group.first * output().elements();
    kernels::pooled_relu<T>(y_.data() + begin, places_.data() + begin, unpooled, store_.value(bias_),
                            pool_shape(group));
  });
  return y_.data();
}

template <class T>
void PooledConvolution<T>::backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) {
  const std::size_t outputs = options_.outputs;
  kernels::pooled_relu_mask(dy, places_.data(), rows * output().elements());
  kernels::column_sum(store_.gradient(bias_), dy, rows * output().pixels(), outputs);
  listener.ready(bias_);
  for_each_group(rows, [&](const Group& group) {
    T* gradient = group.first == 0 ? store_.gradient(weight_) : workspace_.weight_gradient.data();
    gemm(Form::transposed, Form::plain, outputs, patch_, group.pixels, spread(dy, group), patches_of(x, group),
         gradient);
    if (group.first != 0) kernels::add_bias(store_.gradient(weight_), gradient, 1, outputs * patch_);
  });
  listener.ready(weight_);
  if (dx == nullptr) return;
  for_each_group(rows, [&](const Group& group) {
    T* patches = workspace_.patches.data();
    gemm(Form::plain, Form::plain, group.pixels, patch_, outputs, spread(dy, group), store_.value(weight_), patches);
    kernels::scatter_patches(dx + group.first * options_.input.elements(), patches, patch_shape(group));
  });
}

template <class T>
void PooledConvolution<T>::backward_nothing(const Classifier::Listener& listener) {
  this->announce_zero(store_, bias_, listener);
  this->announce_zero(store_, weight_, listener);
}

template class PooledConvolution<float>;
template class PooledConvolution<double>;

}  // namespace trireme::models::layers
