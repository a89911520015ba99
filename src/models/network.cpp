// SPDX-License-Identifier: Apache-2.0
#include "models/network.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/norm/norm.hpp"
#include "models/labelled_rows.hpp"

#include <algorithm>
#include <limits>

namespace trireme::models {
namespace {

/// Rows of one pass of evaluate(): a divisor of evaluation_rows that keeps the layers' outputs small.
constexpr std::size_t evaluation_pass_rows = 64;
static_assert(Classifier::evaluation_rows % evaluation_pass_rows == 0);

}  // namespace

template <class T>
Network<T>::Network(NetworkOptions options) : options_(std::move(options)) {}

template <class T>
void Network<T>::finish(std::uint64_t seed, std::size_t rows) {
  store_.allocate(seed);
  inputs_.resize(layers_.size());
  for (const auto& layer : layers_) widest_ = std::max(widest_, layer->output().elements());
  most_rows_ = std::numeric_limits<int>::max() / std::max(widest_, options_.input.elements());
  make_room(rows);
}

template <class T>
void Network<T>::make_room(std::size_t rows) {
  for (const auto& layer : layers_) layer->make_room(rows);
  delta_.ensure(rows * widest_);
  next_delta_.ensure(rows * widest_);
  losses_.ensure(std::max(rows, Classifier::evaluation_rows));
}

template <class T>
const T* Network<T>::checked(ConstTensorView features, std::span<const std::uint8_t> labels) {
  return checked_features(features, labels, options_.input.elements(), classes(), most_rows_, features_copy_);
}

template <class T>
const T* Network<T>::forward(const T* x, std::size_t rows, layers::Pass pass) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    inputs_[l] = x;
    x = layers_[l]->forward(x, rows, pass);
  }
  return x;
}

template <class T>
double Network<T>::run(ConstTensorView features, std::span<const std::uint8_t> labels,
                       const Classifier::Listener& listener) {
  const kernels::FloatEnvironment environment;  // of all kernels below
  const std::size_t rows = labels.size();
  const T* x = checked(features, labels);
  if (rows == 0) {
    for (const auto& layer : layers_) layer->forward_nothing();
    listener.forward_done();
    for (std::size_t l = layers_.size(); l-- > 0;) layers_[l]->backward_nothing(listener);
    return 0.0;
  }
  make_room(rows);
  const T* logits = forward(x, rows, layers::Pass::training);
  kernels::softmax_cross_entropy<T>({.logits = logits,
                                     .labels = labels.data(),
                                     .rows = rows,
                                     .classes = classes(),
                                     .losses = losses_.data(),
                                     .gradient = delta_.data()});
  listener.forward_done();
  for (std::size_t l = layers_.size(); l-- > 0;) {
    T* dx = l == 0 ? nullptr : next_delta_.data();  // nobody wants the derivative by the features
    layers_[l]->backward(inputs_[l], delta_.data(), dx, rows, listener);
    std::swap(delta_, next_delta_);
  }
  return kernels::sum(losses_.data(), rows) / static_cast<double>(rows);
}

template <class T>
Evaluation Network<T>::evaluate(ConstTensorView features, std::span<const std::uint8_t> labels,
                                std::span<double> losses) {
  check_losses(losses, labels.size());
  const kernels::FloatEnvironment environment;
  const T* x = checked(features, labels);
  Evaluation result{.samples = labels.size()};
  make_room(std::min(labels.size(), evaluation_pass_rows));
  kernels::TreeSum loss_sum;
  for (std::size_t begin = 0; begin < labels.size(); begin += Classifier::evaluation_rows) {
    const std::size_t rows = std::min(Classifier::evaluation_rows, labels.size() - begin);
    double* block_losses = losses.empty() ? losses_.data() : losses.data() + begin;
    for (std::size_t first = 0; first < rows; first += evaluation_pass_rows) {
      const auto part = labels.subspan(begin + first, std::min(evaluation_pass_rows, rows - first));
      const T* logits = forward(x + (begin + first) * options_.input.elements(), part.size(), layers::Pass::evaluation);
      result.correct += kernels::softmax_cross_entropy<T>({.logits = logits,
                                                           .labels = part.data(),
                                                           .rows = part.size(),
                                                           .classes = classes(),
                                                           .losses = block_losses + first});
    }
    loss_sum.add(kernels::block_sum(block_losses, rows));
  }
  result.loss_sum = loss_sum.result();
  return result;
}

template class Network<float>;
template class Network<double>;

}  // namespace trireme::models
