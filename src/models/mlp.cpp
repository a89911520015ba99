// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/mlp.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/norm/norm.hpp"
#include "models/dropout.hpp"
#include "models/gemm.hpp"
#include "models/gradient_views.hpp"
#include "models/initial.hpp"
#include "models/labelled_rows.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace trireme::models {
namespace {

constexpr std::size_t max_classes = 256;                             // a label is a byte
constexpr std::size_t max_extent = std::numeric_limits<int>::max();  // far above what memory holds
constexpr std::size_t max_weights = std::size_t{1} << 40;            // so is this, of all layers together
constexpr std::size_t alignment = data::AlignedBuffer<std::byte>::alignment;

template <class T>
std::size_t aligned_count(std::size_t count) {
  constexpr std::size_t unit = alignment / sizeof(T);
  return (count + unit - 1) / unit * unit;
}

void check_sizes(const std::vector<std::size_t>& sizes) {
  if (sizes.size() < 2) {
    fail(ErrorCode::invalid_argument, "a multi-layer perceptron needs at least two sizes: inputs and classes");
  }
  for (std::size_t size : sizes) {
    if (size == 0 || size > max_extent) {
      fail(ErrorCode::invalid_argument, "a layer of " + std::to_string(size) + " units is not possible");
    }
  }
  std::size_t weights = 0;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    const std::size_t own = sizes[l] * sizes[l + 1];  // below 2^62
    if (own > max_weights - weights) {
      fail(ErrorCode::invalid_argument, "layers of " + std::to_string(sizes[l]) + " by " +
                                            std::to_string(sizes[l + 1]) + " units make more than 2^40 weights");
    }
    weights += own;
  }
  if (sizes.back() < 2 || sizes.back() > max_classes) {
    fail(ErrorCode::invalid_argument, "a classifier has 2 to 256 classes, not " + std::to_string(sizes.back()));
  }
}

}  // namespace

template <class T>
Mlp<T>::Mlp(const MlpOptions& options) : sizes_(options.sizes), seed_(options.seed), dropout_(options.dropout) {
  check_sizes(sizes_);
  check_dropout(dropout_);
  std::size_t total = 0;
  for (std::size_t l = 0; l < layers(); ++l) {
    total += aligned_count<T>(sizes_[l] * sizes_[l + 1]) + aligned_count<T>(sizes_[l + 1]);
  }
  values_ = data::AlignedBuffer<T>(total);
  gradients_ = data::AlignedBuffer<T>(total);
  std::size_t offset = 0;
  const auto add = [&](std::string name, std::vector<std::int64_t> shape, std::size_t inputs, std::size_t count) {
    const std::span<T> value = values_.span().subspan(offset, count);
    set_initial(value, {.bound = 1.0 / std::sqrt(static_cast<double>(inputs))}, options.seed, parameters_.size());
    parameters_.push_back({std::move(name), std::move(shape), value, gradients_.span().subspan(offset, count)});
    parameters_.back().stays = true;
    offset += aligned_count<T>(count);
  };
  for (std::size_t l = 0; l < layers(); ++l) {
    const std::size_t inputs = sizes_[l];
    const std::size_t outputs = sizes_[l + 1];
    const std::string layer = "layer" + std::to_string(l);
    add(layer + ".weight", {static_cast<std::int64_t>(outputs), static_cast<std::int64_t>(inputs)}, inputs,
        outputs * inputs);
    add(layer + ".bias", {static_cast<std::int64_t>(outputs)}, inputs, outputs);
  }
  activations_.resize(layers());
  make_room(options.rows);
}

template <class T>
void Mlp<T>::use_gradients(std::span<const Parameter> parameters) {
  if (adopt_gradients(parameters_, parameters)) gradients_ = {};
}

template <class T>
void Mlp<T>::use_access(ParameterAccess& access) {
  access_ = &access;
  for (Parameter& parameter : parameters_) parameter.gradient.data = nullptr;
  gradients_ = {};
}

template <class T>
T* Mlp<T>::gradient(std::size_t parameter) const {
  const TensorView& own = parameters_[parameter].gradient;
  return static_cast<T*>(access_ == nullptr ? own.data : access_->gradient(parameter).data);
}

template <class T>
std::string Mlp<T>::description() const {
  std::string text = "mlp ";
  for (const std::size_t size : sizes_) text += (text.back() == ' ' ? "" : "-") + std::to_string(size);
  return text;
}

template <class T>
void Mlp<T>::make_room(std::size_t rows) {
  for (std::size_t l = 0; l < layers(); ++l) activations_[l].ensure(rows * sizes_[l + 1]);
  const std::size_t widest = *std::max_element(sizes_.begin() + 1, sizes_.end());
  delta_.ensure(rows * widest);
  next_delta_.ensure(rows * widest);
  losses_.ensure(rows);
}

template <class T>
void Mlp<T>::forward(const T* features, std::size_t rows, const Dropout& dropout) {
  const T* input = features;
  for (std::size_t l = 0; l < layers(); ++l) {
    const std::size_t outputs = sizes_[l + 1];
    T* output = activations_[l].data();
    gemm(Form::plain, Form::transposed, rows, outputs, sizes_[l], input, weight(l), output);
    if (l + 1 < layers()) {
      kernels::add_bias_relu(output, bias(l), rows, outputs);
      dropout.apply(output, rows, outputs, static_cast<std::uint32_t>(l));
    } else {
      kernels::add_bias(output, bias(l), rows, outputs);
    }
    input = output;
  }
}

template <class T>
double Mlp<T>::run(ConstTensorView features, std::span<const std::uint8_t> labels, const Listener& listener) {
  const kernels::FloatEnvironment environment;  // of all kernels below
  const std::size_t rows = labels.size();
  const T* x = checked_features(features, labels, inputs(), classes(), max_extent, features_copy_);
  if (rows == 0) {
    listener.forward_done();
    for (std::size_t p = parameters_.size(); p-- > 0;) {
      std::fill_n(gradient(p), parameters_[p].gradient.count, T{0});
      listener.ready(p);
    }
    return 0.0;
  }
  make_room(rows);
  const Dropout dropout(dropout_, seed_, place_);
  forward(x, rows, dropout);
  kernels::softmax_cross_entropy<T>({.logits = activations_.back().data(),
                                     .labels = labels.data(),
                                     .rows = rows,
                                     .classes = classes(),
                                     .losses = losses_.data(),
                                     .gradient = delta_.data()});
  listener.forward_done();
  for (std::size_t l = layers(); l-- > 0;) {
    const std::size_t outputs = sizes_[l + 1];
    const T* input = l == 0 ? x : activations_[l - 1].data();
    // Announced before the derivative goes further down: what reduces this layer works beside the next product.
    kernels::column_sum(gradient(2 * l + 1), delta_.data(), rows, outputs);
    listener.ready(2 * l + 1);
    gemm(Form::transposed, Form::plain, outputs, sizes_[l], rows, delta_.data(), input, gradient(2 * l));
    listener.ready(2 * l);
    if (l == 0) break;  // nobody wants the derivative by the features
    gemm(Form::plain, Form::plain, rows, sizes_[l], outputs, delta_.data(), weight(l), next_delta_.data());
    kernels::relu_backward(next_delta_.data(), next_delta_.data(), input, rows * sizes_[l]);
    dropout.amplify(next_delta_.data(), rows * sizes_[l]);
    std::swap(delta_, next_delta_);
  }
  return kernels::sum(losses_.data(), rows) / static_cast<double>(rows);
}

template <class T>
Evaluation Mlp<T>::evaluate_rows(ConstTensorView features, std::span<const std::uint8_t> labels,
                                 std::span<double> losses) {
  check_losses(losses, labels.size());
  const kernels::FloatEnvironment environment;
  const T* x = checked_features(features, labels, inputs(), classes(), max_extent, features_copy_);
  Evaluation result{.samples = labels.size()};
  make_room(std::min(labels.size(), evaluation_rows));
  kernels::TreeSum loss_sum;
  for (std::size_t begin = 0; begin < labels.size(); begin += evaluation_rows) {
    const auto block = labels.subspan(begin, std::min(evaluation_rows, labels.size() - begin));
    double* block_losses = losses.empty() ? losses_.data() : losses.data() + begin;
    forward(x + begin * inputs(), block.size(), Dropout());
    result.correct += kernels::softmax_cross_entropy<T>({.logits = activations_.back().data(),
                                                         .labels = block.data(),
                                                         .rows = block.size(),
                                                         .classes = classes(),
                                                         .losses = block_losses});
    loss_sum.add(kernels::block_sum(block_losses, block.size()));
  }
  result.loss_sum = loss_sum.result();
  return result;
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace trireme::models
