// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/layers/layer.hpp"

#include <string>
#include <vector>

namespace trireme::models::layers {

struct BatchNormOptions {
  std::string name;
  ImageExtent input;
  bool relu = false;
  double epsilon = 1e-5;
};

/// y = (x - mean) gain / sqrt(variance + epsilon) + shift per channel, then relu if asked for. In training mean and variance
/// are those of the call's own pixels, which is one leaf, or, where the store shares statistics, those of all ranks' pixels;
/// in evaluation the running ones.
/// Shape:   parameters "NAME.gain", "NAME.shift" {channels}; buffers "NAME.running_mean" (from 0), "NAME.running_variance"
///          (from 1). Its statistics are the mean and the unbiased variance (of a single pixel: 0).
/// Order:   mean, variance and the parameters' gradients in f64, see kernels/batch_norm; what is done to each element in T.
///          Shared: one exchange forward, then one backward, behind the announcement of the gradients, which are the own
///          pixels' part; with dx null, too.
/// Scale:   shared, each rank's dy is the derivative of the mean loss over its own rows, and so is dx: both are the derivative of
///          the mean over all rows times all over own rows, so that weighing by own rows (DataParallel) gives the latter.
/// Source:  Ioffe, Szegedy, "Batch normalization", ICML 2015.
template <class T>
class BatchNorm final : public Layer<T> {
 public:
  BatchNorm(ParameterStore<T>& store, const BatchNormOptions& options);
  ImageExtent output() const override { return options_.input; }
  void make_room(std::size_t rows) override { y_.ensure(rows * options_.input.elements()); }
  T* forward(const T* x, std::size_t rows, Pass pass) override;
  /// dx may be dy's memory; dy is not written otherwise.
  void backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) override;
  void forward_nothing() override;
  void backward_nothing(const Classifier::Listener& listener) override;

 private:
  void find_moments(const T* x, std::size_t pixels);
  void share_derivatives(double count);
  void take_running();

  ParameterStore<T>& store_;
  BatchNormOptions options_;
  std::size_t gain_;
  std::size_t shift_;
  std::size_t running_mean_;
  std::size_t running_variance_;
  double all_pixels_ = 0.0;  // of the last forward(), over all that share statistics
  std::vector<double> mean_;
  std::vector<double> inverse_deviation_;
  std::vector<double> sum_;        // squares in forward, of dy in backward
  std::vector<double> projected_;  // of dy on x - mean
  data::AlignedBuffer<T> rounded_mean_;
  data::AlignedBuffer<T> scale_;
  data::AlignedBuffer<T> mean_dy_;
  data::AlignedBuffer<T> slope_;
  data::AlignedBuffer<T> y_;
};

extern template class BatchNorm<float>;
extern template class BatchNorm<double>;

}  // namespace trireme::models::layers
