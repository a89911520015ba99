// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/layers/layer.hpp"

namespace trireme::models::layers {

/// The mean over all pixels per channel.
template <class T>
class MeanPool final : public Layer<T> {
 public:
  explicit MeanPool(ImageExtent input) : input_(input) {}
  ImageExtent output() const override { return {1, 1, input_.channels}; }
  void make_room(std::size_t rows) override { y_.ensure(rows * input_.channels); }
  T* forward(const T* x, std::size_t rows, Pass pass) override;
  void backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) override;

 private:
  ImageExtent input_;
  data::AlignedBuffer<T> y_;
};

extern template class MeanPool<float>;
extern template class MeanPool<double>;

}  // namespace trireme::models::layers
