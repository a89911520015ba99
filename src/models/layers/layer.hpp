// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/layers/parameter_store.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/models/image_extent.hpp"

#include <algorithm>
#include <cstddef>

namespace trireme::models::layers {

enum class Pass : unsigned char { training, evaluation };

/// Scratch that the layers of a model share: nothing in it is kept from one layer's call to the next.
template <class T>
struct Workspace {
  data::AlignedBuffer<T> patches;
  data::AlignedBuffer<T> weight_gradient;
  data::AlignedBuffer<T> unpooled;        ///< outputs of a convolution before pooling
  data::AlignedBuffer<T> derivatives[2];  ///< within a block
};

/// One step of a model's way from features to logits.
/// Shape:   x rows x the input's elements, y and dy rows x output().elements(); all 64-byte aligned.
/// Order:   what a call gives depends on its arguments and the parameters only.
/// Threads: one at a time.
template <class T>
class Layer {
 public:
  virtual ~Layer() = default;
  virtual ImageExtent output() const = 0;
  /// Room for calls of so many rows; afterwards they use no heap.
  virtual void make_room(std::size_t rows) = 0;
  /// y, in the layer's own memory until its next forward().
  virtual T* forward(const T* x, std::size_t rows, Pass pass) = 0;
  /// After forward() of the same x in training: overwrites the gradients, each announced as soon as it is final, the last
  /// declared first; then dx, unless it is null. dx is not dy's memory, which may be written.
  virtual void backward(const T* x, T* dy, T* dx, std::size_t rows, const Classifier::Listener& listener) = 0;

  /// The two of a call without rows, in training: what other ranks exchange meanwhile is joined, in their order; gradients
  /// become 0 and are announced as in backward().
  virtual void forward_nothing() {}
  virtual void backward_nothing(const Classifier::Listener&) {}

 protected:
  static void announce_zero(const ParameterStore<T>& store, std::size_t parameter,
                            const Classifier::Listener& listener) {
    std::fill_n(store.gradient(parameter), store.parameters()[parameter].gradient.count, T{0});
    listener.ready(parameter);
  }

  Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
};

}  // namespace trireme::models::layers
