// SPDX-License-Identifier: Apache-2.0
#include "models/layers/batch_norm.hpp"

#include "kernels/batch_norm/batch_norm.hpp"

#include <algorithm>
#include <cmath>

namespace trireme::models::layers {

template <class T>
BatchNorm<T>::BatchNorm(ParameterStore<T>& store, const BatchNormOptions& options) : store_(store), options_(options) {
  const std::size_t channels = options.input.channels;
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(channels)};
  gain_ = store.declare(options.name + ".gain", shape, {.centre = 1.0});
  shift_ = store.declare(options.name + ".shift", shape, {});
  running_mean_ = store.declare_buffer(options.name + ".running_mean", channels, 0.0);
  running_variance_ = store.declare_buffer(options.name + ".running_variance", channels, 1.0);
  for (auto* each : {&mean_, &inverse_deviation_, &sum_, &projected_}) each->resize(channels);
  for (auto* each : {&rounded_mean_, &scale_, &mean_dy_, &slope_}) each->ensure(channels);
}

template <class T>
void BatchNorm<T>::find_moments(const T* x, std::size_t pixels) {
  const std::size_t channels = options_.input.channels;
  auto count = static_cast<double>(pixels);
  if (pixels > 0) {
    kernels::column_moments(mean_.data(), sum_.data(), x, pixels, channels);
  } else {
    std::fill(mean_.begin(), mean_.end(), 0.0);
    std::fill(sum_.begin(), sum_.end(), 0.0);
  }
  if (auto* shared = store_.shared_statistics()) count = shared->combine_moments(count, mean_, sum_);
  all_pixels_ = count;
  double* means = store_.statistics().data() + running_mean_;
  double* variances = store_.statistics().data() + running_variance_;
  for (std::size_t c = 0; c < channels; ++c) {
    inverse_deviation_[c] = 1.0 / std::sqrt(sum_[c] / std::max(count, 1.0) + options_.epsilon);
    means[c] = mean_[c];
    variances[c] = count <= 1.0 ? 0.0 : sum_[c] / (count - 1.0);
  }
}

template <class T>
void BatchNorm<T>::take_running() {
  const T* mean = store_.buffer(running_mean_);
  const T* variance = store_.buffer(running_variance_);
  for (std::size_t c = 0; c < options_.input.channels; ++c) {
    mean_[c] = static_cast<double>(mean[c]);
    inverse_deviation_[c] = 1.0 / std::sqrt(static_cast<double>(variance[c]) + options_.epsilon);
  }
}

template <class T>
T* BatchNorm<T>::forward(const T* x, std::size_t rows, Pass pass) {
  const std::size_t pixels = rows * options_.input.pixels();
  if (pass == Pass::training) {
    find_moments(x, pixels);
  } else {
    take_running();
  }
  for (std::size_t c = 0; c < options_.input.channels; ++c) {
    rounded_mean_.data()[c] = static_cast<T>(mean_[c]);
    scale_.data()[c] = static_cast<T>(static_cast<double>(store_.value(gain_)[c]) * inverse_deviation_[c]);
  }
  kernels::normalise<T>({.y = y_.data(),
                         .x = x,
                         .rows = pixels,
                         .columns = options_.input.channels,
                         .mean = rounded_mean_.data(),
                         .scale = scale_.data(),
                         .shift = store_.value(shift_),
                         .relu = options_.relu});
  return y_.data();
}

template <class T>
void BatchNorm<T>::backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) {
  const std::size_t channels = options_.input.channels;
  const std::size_t pixels = rows * options_.input.pixels();
  const T* y = options_.relu ? y_.data() : nullptr;
  kernels::derivative_sums<T>({.sum = sum_.data(),
                               .projected = projected_.data(),
                               .dy = dy,
                               .x = x,
                               .y = y,
                               .rows = pixels,
                               .columns = channels,
                               .mean = mean_.data()});
  const auto count = static_cast<double>(pixels);
  T *const by_shift = store_.gradient(shift_), *const by_gain = store_.gradient(gain_);
  for (std::size_t c = 0; c < channels; ++c) {
    by_shift[c] = static_cast<T>(sum_[c]);
    by_gain[c] = static_cast<T>(projected_[c] * inverse_deviation_[c]);
  }
  listener.ready(shift_);
  listener.ready(gain_);
  share_derivatives(count);
  if (dx == nullptr) return;
  for (std::size_t c = 0; c < channels; ++c) {
    const double inverse = inverse_deviation_[c];
    mean_dy_.data()[c] = static_cast<T>(sum_[c] / count);
    // gain / deviation^3 times the mean of dy (x - mean)
    const double gain = static_cast<double>(store_.value(gain_)[c]);
    slope_.data()[c] = static_cast<T>(gain * inverse * inverse * inverse * (projected_[c] / count));
  }
  kernels::normalise_backward<T>({.dx = dx,
                                  .dy = dy,
                                  .x = x,
                                  .y = y,
                                  .rows = pixels,
                                  .columns = channels,
                                  .mean = rounded_mean_.data(),
                                  .scale = scale_.data(),
                                  .mean_dy = mean_dy_.data(),
                                  .slope = slope_.data()});
}

/// With g the derivative of the mean loss over all ranks' rows, n own pixels and N all: dy = g N/n. What normalise_backward()
/// needs is N/n times the sum of g over all pixels, over N: the sum over ranks of n/N times that of dy, over n.
template <class T>
void BatchNorm<T>::share_derivatives(double count) {
  if (auto* shared = store_.shared_statistics()) shared->add(count / std::max(all_pixels_, 1.0), sum_, projected_);
}

template <class T>
void BatchNorm<T>::forward_nothing() {
  if (store_.shared_statistics() != nullptr) find_moments(nullptr, 0);
}

template <class T>
void BatchNorm<T>::backward_nothing(const Classifier::Listener& listener) {
  this->announce_zero(store_, shift_, listener);
  this->announce_zero(store_, gain_, listener);
  std::fill(sum_.begin(), sum_.end(), 0.0);
  std::fill(projected_.begin(), projected_.end(), 0.0);
  share_derivatives(0.0);
}

template class BatchNorm<float>;
template class BatchNorm<double>;

}  // namespace trireme::models::layers
