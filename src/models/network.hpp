// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/layers/layer.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace trireme::models {

struct NetworkOptions {
  std::string description;
  ImageExtent input;
  double momentum = 0.1;  ///< share of a step's statistics in the buffers
};

/// Layers one after the other and the softmax cross-entropy behind the last, whose output are the logits.
/// Usage: add() every layer, from the first to the last; then finish().
template <class T>
class Network {
 public:
  explicit Network(NetworkOptions options);

  layers::ParameterStore<T>& store() { return store_; }
  const layers::ParameterStore<T>& store() const { return store_; }
  layers::Workspace<T>& workspace() { return workspace_; }
  /// Of the last layer so far; at first the input.
  ImageExtent extent() const { return layers_.empty() ? options_.input : layers_.back()->output(); }
  void add(std::unique_ptr<layers::Layer<T>> layer) { layers_.push_back(std::move(layer)); }
  /// Initial values, and room for calls of `rows` rows.
  void finish(std::uint64_t seed, std::size_t rows);

  const NetworkOptions& options() const { return options_; }
  std::size_t classes() const { return layers_.back()->output().elements(); }
  double run(ConstTensorView features, std::span<const std::uint8_t> labels, const Classifier::Listener& listener);
  Evaluation evaluate(ConstTensorView features, std::span<const std::uint8_t> labels, std::span<double> losses);

 private:
  const T* checked(ConstTensorView features, std::span<const std::uint8_t> labels);
  void make_room(std::size_t rows);
  const T* forward(const T* x, std::size_t rows, layers::Pass pass);

  NetworkOptions options_;
  layers::ParameterStore<T> store_;
  layers::Workspace<T> workspace_;
  std::vector<std::unique_ptr<layers::Layer<T>>> layers_;
  std::vector<const T*> inputs_;          // of every layer, in the pass under way
  std::size_t widest_ = 0;                // elements of the largest output
  std::size_t most_rows_ = 0;             // products count in int
  data::AlignedBuffer<T> features_copy_;  // used only for features that are not 64-byte aligned
  data::AlignedBuffer<T> delta_;          // derivative of the loss by a layer's outputs
  data::AlignedBuffer<T> next_delta_;     // the same for the layer below
  data::AlignedBuffer<double> losses_;    // of every row
};

extern template class Network<float>;
extern template class Network<double>;

}  // namespace trireme::models
