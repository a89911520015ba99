// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/layers/layer.hpp"

#include <string>

namespace trireme::models::layers {

struct ConvolutionOptions {
  std::string name;
  ImageExtent input;
  std::size_t outputs = 1;  ///< channels
  std::size_t kernel = 3;   ///< odd; padded by half of it with zeros
  std::size_t stride = 1;
  bool bias = true;
  bool relu = false;
  double bound = 0.0;  ///< of the initial values
};

/// y[n, i, j, o] = b[o] + sum over ky, kx, c of w[o, ky, kx, c] x[n, i stride + ky - kernel/2, j stride + kx - kernel/2, c],
/// then relu if asked for.
/// Shape:   parameters "NAME.weight" {outputs, kernel, kernel, channels}, "NAME.bias" {outputs}.
/// Cost:    2 flops per weight and output pixel forward, 4 backward, as products of matrices whose rows are patches,
///          gathered for so many images at a time that they stay in a cache.
/// Order:   the weight's gradient is summed over those groups of images, in order; the product within one is kernels/gemm's.
template <class T>
class Convolution final : public Layer<T> {
 public:
  Convolution(ParameterStore<T>& store, Workspace<T>& workspace, const ConvolutionOptions& options);
  ImageExtent output() const override { return output_; }
  void make_room(std::size_t rows) override;
  T* forward(const T* x, std::size_t rows, Pass pass) override;
  void backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) override;
  void backward_nothing(const Classifier::Listener& listener) override;

 private:
  template <class Visit>
  void for_each_group(std::size_t rows, Visit visit) const;
  const T* patches_of(const T* x, std::size_t first, std::size_t images);
  bool pointwise() const { return options_.kernel == 1 && options_.stride == 1; }
  std::size_t patch() const { return options_.kernel * options_.kernel * options_.input.channels; }

  ParameterStore<T>& store_;
  Workspace<T>& workspace_;
  ConvolutionOptions options_;
  ImageExtent output_;
  std::size_t group_;  ///< images whose patches are gathered at a time
  std::size_t weight_;
  std::size_t bias_ = 0;
  data::AlignedBuffer<T> y_;
};

extern template class Convolution<float>;
extern template class Convolution<double>;

}  // namespace trireme::models::layers
