// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/layers/layer.hpp"

#include <string>

namespace trireme::models::layers {

struct DenseOptions {
  std::string name;
  std::size_t inputs = 1;
  std::size_t outputs = 1;
  bool relu = false;
  double bound = 0.0;  ///< of the initial values
};

/// y = x w^T + b, then relu if asked for. Outputs behind relu may be masked where they lie before backward() takes from them
/// which units passed (models/dropout.hpp).
/// Shape: parameters "NAME.weight" {outputs, inputs}, "NAME.bias" {outputs}; the output is one pixel.
template <class T>
class Dense final : public Layer<T> {
 public:
  Dense(ParameterStore<T>& store, const DenseOptions& options);
  ImageExtent output() const override { return {1, 1, options_.outputs}; }
  void make_room(std::size_t rows) override { y_.ensure(rows * options_.outputs); }
  T* forward(const T* x, std::size_t rows, Pass pass) override;
  void backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) override;
  void backward_nothing(const Classifier::Listener& listener) override;

 private:
  ParameterStore<T>& store_;
  DenseOptions options_;
  std::size_t weight_;
  std::size_t bias_;
  data::AlignedBuffer<T> y_;
};

extern template class Dense<float>;
extern template class Dense<double>;

}  // namespace trireme::models::layers
