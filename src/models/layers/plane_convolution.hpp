// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/plane_convolution/plane_convolution.hpp"
#include "models/layers/layer.hpp"

#include <string>

namespace trireme::models::layers {

struct PlaneConvolutionOptions {
  std::string name;
  ImageExtent input;        ///< of one channel
  std::size_t outputs = 1;  ///< channels
  double bound = 0.0;       ///< of the initial values
};

/// A 3 x 3 convolution of images with one channel, relu and the greatest of every 2 x 2 pixels, as PooledConvolution; but
/// without matrix products, which nine products per pixel are too few for. It is the first layer: dx must be null.
/// Shape:   parameters "NAME.weight" {outputs, 3, 3, 1}, "NAME.bias" {outputs}.
/// Cost:    2 flops per weight and pixel forward, 2 backward; of what it computes only the pooled outputs are kept.
/// Order:   the weight's gradient is summed within each image as kernels/plane_convolution says, images by the balanced tree.
template <class T>
class PlaneConvolution final : public Layer<T> {
 public:
  PlaneConvolution(ParameterStore<T>& store, Workspace<T>& workspace, const PlaneConvolutionOptions& options);
  ImageExtent output() const override {
    return {options_.input.height / 2, options_.input.width / 2, options_.outputs};
  }
  void make_room(std::size_t rows) override;
  T* forward(const T* x, std::size_t rows, Pass pass) override;
  void backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) override;
  void backward_nothing(const Classifier::Listener& listener) override;

 private:
  kernels::PlaneShape shape(std::size_t images) const;

  ParameterStore<T>& store_;
  Workspace<T>& workspace_;
  PlaneConvolutionOptions options_;
  std::size_t weight_;
  std::size_t bias_;
  data::AlignedBuffer<T> y_;
  data::AlignedBuffer<kernels::PoolPlace> places_;  // of the window's element that each output is
};

extern template class PlaneConvolution<float>;
extern template class PlaneConvolution<double>;

}  // namespace trireme::models::layers
