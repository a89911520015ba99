// SPDX-License-Identifier: Apache-2.0
#include "models/layers/residual_block.hpp"

#include "kernels/dense/dense.hpp"

#include <algorithm>
#include <cmath>

namespace trireme::models::layers {
namespace {

ConvolutionOptions convolution(std::string name, const ImageExtent& input, std::size_t outputs, std::size_t kernel,
                               std::size_t stride) {
  const auto fan_in = static_cast<double>(kernel * kernel * input.channels);
  return {.name = std::move(name),
          .input = input,
          .outputs = outputs,
          .kernel = kernel,
          .stride = stride,
          .bias = false,
          .bound = std::sqrt(6.0 / fan_in)};
}

}  // namespace

template <class T>
ResidualBlock<T>::ResidualBlock(ParameterStore<T>& store, Workspace<T>& workspace, const ResidualBlockOptions& o)
    : workspace_(workspace),
      input_(o.input),
      conv0_(store, workspace, convolution(o.name + ".conv0", o.input, o.outputs, 3, o.stride)),
      norm0_(store, {.name = o.name + ".norm0", .input = conv0_.output(), .relu = true, .epsilon = o.epsilon}),
      conv1_(store, workspace, convolution(o.name + ".conv1", conv0_.output(), o.outputs, 3, 1)),
      norm1_(store, {.name = o.name + ".norm1", .input = conv1_.output(), .epsilon = o.epsilon}) {
  if (o.input == norm1_.output()) return;
  const std::string name = o.name + ".shortcut";
  shortcut_.reset(new Shortcut{
      .conv{store, workspace, convolution(name + ".conv", o.input, o.outputs, 1, o.stride)},
      .norm{store, {.name = name + ".norm", .input = norm1_.output(), .epsilon = o.epsilon}},
  });
}

template <class T>
void ResidualBlock<T>::make_room(std::size_t rows) {
  conv0_.make_room(rows);
  norm0_.make_room(rows);
  conv1_.make_room(rows);
  norm1_.make_room(rows);
  if (shortcut_ != nullptr) {
    shortcut_->conv.make_room(rows);
    shortcut_->norm.make_room(rows);
  }
  for (auto& each : workspace_.derivatives) {
    each.ensure(rows * std::max(input_.elements(), output().elements()));
  }
}

template <class T>
T* ResidualBlock<T>::forward(const T* x, std::size_t rows, Pass pass) {
  const T* beside = x;
  if (shortcut_ != nullptr) {
    shortcut_->conv_y = shortcut_->conv.forward(x, rows, pass);
    beside = shortcut_->norm.forward(shortcut_->conv_y, rows, pass);
  }
  conv0_y_ = conv0_.forward(x, rows, pass);
  norm0_y_ = norm0_.forward(conv0_y_, rows, pass);
  conv1_y_ = conv1_.forward(norm0_y_, rows, pass);
  y_ = norm1_.forward(conv1_y_, rows, pass);
  kernels::add_bias_relu(y_, beside, 1, rows * output().elements());
  return y_;
}

template <class T>
void ResidualBlock<T>::backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) {
  T* first = workspace_.derivatives[0].data();
  T* second = workspace_.derivatives[1].data();
  kernels::relu_backward(dy, dy, y_, rows * output().elements());
  if (shortcut_ != nullptr) {
    shortcut_->norm.backward(shortcut_->conv_y, dy, first, rows, listener);
    shortcut_->conv.backward(x, first, dx, rows, listener);
  }
  norm1_.backward(conv1_y_, dy, first, rows, listener);
  conv1_.backward(norm0_y_, first, second, rows, listener);
  norm0_.backward(conv0_y_, second, second, rows, listener);
  if (dx == nullptr) {
    conv0_.backward(x, second, nullptr, rows, listener);
  } else if (shortcut_ != nullptr) {
    conv0_.backward(x, second, first, rows, listener);
    kernels::add_bias(dx, first, 1, rows * input_.elements());
  } else {
    conv0_.backward(x, second, dx, rows, listener);
    kernels::add_bias(dx, dy, 1, rows * input_.elements());
  }
}

template <class T>
void ResidualBlock<T>::forward_nothing() {
  if (shortcut_ != nullptr) shortcut_->norm.forward_nothing();
  norm0_.forward_nothing();
  norm1_.forward_nothing();
}

template <class T>
void ResidualBlock<T>::backward_nothing(const Classifier::Listener& listener) {
  if (shortcut_ != nullptr) {
    shortcut_->norm.backward_nothing(listener);
    shortcut_->conv.backward_nothing(listener);
  }
  norm1_.backward_nothing(listener);
  conv1_.backward_nothing(listener);
  norm0_.backward_nothing(listener);
  conv0_.backward_nothing(listener);
}

template class ResidualBlock<float>;
template class ResidualBlock<double>;

}  // namespace trireme::models::layers
