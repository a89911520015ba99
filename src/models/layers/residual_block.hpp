// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/layers/batch_norm.hpp"
#include "models/layers/convolution.hpp"

#include <memory>
#include <string>

namespace trireme::models::layers {

struct ResidualBlockOptions {
  std::string name;
  ImageExtent input;
  std::size_t outputs = 1;  ///< channels
  std::size_t stride = 1;
  double epsilon = 1e-5;
};

/// The basic block: y = relu(norm1(conv1(relu(norm0(conv0(x))))) + s(x)), both convolutions 3 x 3, the first with the
/// block's stride; s is x itself where the extents agree, else a 1 x 1 convolution with that stride and a norm.
/// Shape:  parameters of "NAME.conv0", ".norm0", ".conv1", ".norm1", then of ".shortcut.conv" and ".shortcut.norm".
/// Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016.
template <class T>
class ResidualBlock final : public Layer<T> {
 public:
  ResidualBlock(ParameterStore<T>& store, Workspace<T>& workspace, const ResidualBlockOptions& options);
  ImageExtent output() const override { return norm1_.output(); }
  void make_room(std::size_t rows) override;
  T* forward(const T* x, std::size_t rows, Pass pass) override;
  void backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) override;
  void forward_nothing() override;
  void backward_nothing(const Classifier::Listener& listener) override;

 private:
  /// Of a projection.
  struct Shortcut {
    Convolution<T> conv;
    BatchNorm<T> norm;
    T* conv_y = nullptr;
  };

  Workspace<T>& workspace_;
  ImageExtent input_;
  Convolution<T> conv0_;
  BatchNorm<T> norm0_;
  Convolution<T> conv1_;
  BatchNorm<T> norm1_;
  std::unique_ptr<Shortcut> shortcut_;
  // What the last forward() passed on.
  T* conv0_y_ = nullptr;
  T* norm0_y_ = nullptr;
  T* conv1_y_ = nullptr;
  T* y_ = nullptr;
};

extern template class ResidualBlock<float>;
extern template class ResidualBlock<double>;

}  // namespace trireme::models::layers
