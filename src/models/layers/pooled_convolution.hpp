// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/patches/patches.hpp"
#include "kernels/pooled_relu/pooled_relu.hpp"
#include "models/layers/layer.hpp"

#include <string>

namespace trireme::models::layers {

struct PooledConvolutionOptions {
  std::string name;
  ImageExtent input;
  std::size_t outputs = 1;  ///< channels
  double bound = 0.0;       ///< of the initial values
};

/// The greatest of every 2 x 2 pixels of relu(b[o] + sum over ky, kx, c of w[o, ky, kx, c] x[n, i + ky - 1, j + kx - 1, c]), 0
/// outside the image; an odd last row or column is left out.
/// Shape:   parameters "NAME.weight" {outputs, 3, 3, channels}, "NAME.bias" {outputs}.
/// Cost:    2 flops per weight and pixel forward, 4 backward, as products of matrices whose rows are patches. A group of
///          images passes through product, relu and pooling, and back, before the next: what lies between stays in a cache,
///          and only the pooled outputs are kept, each with its place in the window.
/// Order:   the weight's gradient is summed over those groups of images, in order; the product within one is kernels/gemm's.
template <class T>
class PooledConvolution final : public Layer<T> {
 public:
  PooledConvolution(ParameterStore<T>& store, Workspace<T>& workspace, const PooledConvolutionOptions& options);
  ImageExtent output() const override {
    return {options_.input.height / 2, options_.input.width / 2, options_.outputs};
  }
  void make_room(std::size_t rows) override;
  T* forward(const T* x, std::size_t rows, Pass pass) override;
  void backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) override;
  void backward_nothing(const Classifier::Listener& listener) override;

 private:
  /// Consecutive images that are computed together.
  struct Group {
    std::size_t first;
    std::size_t images;
    std::size_t pixels;
  };
  template <class Visit>
  void for_each_group(std::size_t rows, Visit visit) const;
  kernels::PatchShape patch_shape(const Group& group) const;
  kernels::PoolShape pool_shape(const Group& group) const;
  const T* patches_of(const T* x, const Group& group);
  const T* spread(const T* dy, const Group& group);

  ParameterStore<T>& store_;
  Workspace<T>& workspace_;
  PooledConvolutionOptions options_;
  std::size_t patch_;  ///< elements
  std::size_t group_;  ///< images
  std::size_t weight_;
  std::size_t bias_;
  data::AlignedBuffer<T> y_;
  data::AlignedBuffer<kernels::PoolPlace> places_;  // of the window's element that each output is
};

extern template class PooledConvolution<float>;
extern template class PooledConvolution<double>;

}  // namespace trireme::models::layers
