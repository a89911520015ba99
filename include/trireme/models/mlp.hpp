// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/models/sample_place.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace trireme::models {

class Dropout;

struct MlpOptions {
  std::vector<std::size_t> sizes;  ///< inputs, hidden layers, classes: {784, 512, 512, 10}
  std::uint64_t seed = 0;
  std::size_t rows = 64;  ///< samples per call to make room for; a larger call grows the workspace
  double dropout = 0.0;   ///< probability, [0, 1): of the outputs of every hidden layer, in training
};

/// A multi-layer perceptron with a hand-written backward pass: x_{l+1} = relu(x_l W_l^T + b_l), no relu after the last
/// layer, mean cross-entropy of the softmax.
/// Shape:   parameters "layer0.weight" {outputs, inputs}, "layer0.bias" {outputs}, "layer1.weight", …: in this order,
///          each value and gradient 64-byte aligned, at the same address for the model's life (moving it included) unless
///          use_gradients() says otherwise.
/// Start:   weights and biases uniform in [-1/sqrt(inputs), 1/sqrt(inputs)], PyTorch's default: element e of parameter
///          p is (2u - 1)/sqrt(inputs) rounded to T, where u is the upper 53 bits of
///          data::philox_at(data::stream_key(seed, p), e). A function of (seed, p, e) and the layer's inputs alone.
/// Dropout: in forward_backward() an output of a hidden layer is either 0, with the probability given, or itself times
///          1/(1 - dropout). Row r of a call has the masks of (seed, step, first_row + r, layer, unit), step and first_row
///          from set_place(): they do not depend on how a batch is cut into leaves or over ranks.
/// Cost:    6 flops per weight and sample, less 2 for the first layer; no heap in a call whose rows fit the workspace, but for 1.75 MiB of a
///          thread's first product of matrices.
///          With dropout ten rounds of Philox 4x32 per four outputs of a hidden layer, in the forward pass only.
template <class T>
class Mlp final : public Classifier {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);

 public:
  /// Errors: invalid_argument unless there are at least two sizes, none of them 0, 2 to 256 classes (labels are
  ///         bytes), and a dropout from 0 to below 1.
  explicit Mlp(const MlpOptions& options);
  Mlp(Mlp&&) noexcept = default;
  Mlp& operator=(Mlp&&) noexcept = default;

  const std::vector<Parameter>& parameters() const override { return parameters_; }
  void use_gradients(std::span<const Parameter> parameters) override;
  void use_access(ParameterAccess& access) override;
  std::size_t inputs() const override { return sizes_.front(); }
  std::size_t classes() const override { return sizes_.back(); }
  std::string description() const override;
  void set_place(const SamplePlace& place) override { place_ = place; }

 private:
  double run(ConstTensorView features, std::span<const std::uint8_t> labels, const Listener& listener) override;
  Evaluation evaluate_rows(ConstTensorView features, std::span<const std::uint8_t> labels,
                           std::span<double> losses) override;
  void make_room(std::size_t rows);
  void forward(const T* features, std::size_t rows, const Dropout& dropout);
  std::size_t layers() const { return sizes_.size() - 1; }
  T* weight(std::size_t layer) const { return static_cast<T*>(parameters_[2 * layer].value.data); }
  T* bias(std::size_t layer) const { return static_cast<T*>(parameters_[2 * layer + 1].value.data); }
  /// Where it is to be written in this call.
  T* gradient(std::size_t parameter) const;

  std::vector<std::size_t> sizes_;
  std::uint64_t seed_ = 0;
  double dropout_ = 0.0;
  SamplePlace place_;
  data::AlignedBuffer<T> values_;
  data::AlignedBuffer<T> gradients_;
  std::vector<Parameter> parameters_;
  ParameterAccess* access_ = nullptr;                // null: gradients lie where parameters_ says
  data::AlignedBuffer<T> features_copy_;             // used only for features that are not 64-byte aligned
  std::vector<data::AlignedBuffer<T>> activations_;  // of every layer: rows x outputs, masked; the last are the logits
  data::AlignedBuffer<T> delta_;                     // derivative of the loss by a layer's outputs
  data::AlignedBuffer<T> next_delta_;                // the same for the layer below
  data::AlignedBuffer<double> losses_;               // of every row
};

extern template class Mlp<float>;
extern template class Mlp<double>;

}  // namespace trireme::models
