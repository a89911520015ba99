// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/data/aligned_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace trireme::models {

struct MlpOptions {
  std::vector<std::size_t> sizes;  ///< inputs, hidden layers, classes: {784, 512, 512, 10}
  std::uint64_t seed = 0;
  std::size_t rows = 64;  ///< samples per call to make room for; a larger call grows the workspace
};

/// What evaluate() finds: to be added over calls and ranks.
struct Evaluation {
  std::size_t samples = 0;
  std::size_t correct = 0;
  double loss_sum = 0.0;  ///< natural-logarithm cross-entropy, not divided by the samples
};

/// A multi-layer perceptron with a hand-written backward pass: x_{l+1} = relu(x_l W_l^T + b_l), no relu after the last
/// layer, mean cross-entropy of the softmax.
/// Shape:   parameters "layer0.weight" {outputs, inputs}, "layer0.bias" {outputs}, "layer1.weight", …: in this order,
///          each value and gradient 64-byte aligned, at the same address for the model's life (moving it included) unless
///          use_gradients() says otherwise.
/// Start:   weights and biases uniform in (-1/sqrt(inputs), 1/sqrt(inputs)), PyTorch's default: element e of parameter
///          p is (2u - 1)/sqrt(inputs) rounded to T, where u is the upper 53 bits of output e of SplitMix64 started at
///          stream_key(seed, p). A function of (seed, p, e) and the layer's inputs alone.
/// Order:   a call's results depend on the parameters and the call's samples only: not on earlier calls, other samples
///          or addresses. One BLAS core type and one BLAS thread are the program's part (models/blas.hpp).
/// Cost:    6 flops per weight and sample, less 2 for the first layer; no heap in a call whose rows fit the workspace.
/// Threads: one at a time per model.
template <class T>
class Mlp {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);

 public:
  /// Errors: invalid_argument unless there are at least two sizes, none of them 0, and 2 to 256 classes (labels are
  ///         bytes).
  explicit Mlp(const MlpOptions& options);
  Mlp(Mlp&&) noexcept = default;
  Mlp& operator=(Mlp&&) noexcept = default;

  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// From here on gradients are written where those of `parameters` lie (DataParallel's bucket views), in place of the
  /// model's own memory, which is given back.
  /// Shape:  as parameters(), in the same order; 64-byte aligned, valid while backward passes run, or until the next call.
  /// Errors: invalid_argument, naming the parameter, and nothing is changed.
  void use_gradients(std::span<const Parameter> parameters);
  std::size_t inputs() const { return sizes_.front(); }
  std::size_t classes() const { return sizes_.back(); }

  /// The mean cross-entropy of the rows; overwrites every gradient with its mean over the rows. `ready(p)` is called
  /// once per parameter, as soon as gradient p is final and before work on earlier layers goes on: p descends from the
  /// last parameter to 0. What `ready` throws leaves this call; the gradients are then unspecified.
  /// Shape:  features rows x inputs(), row-major, of T; labels rows. No rows: loss 0, gradients 0.
  /// Errors: invalid_argument when shapes, dtype or a label do not fit.
  template <class Ready>
  double forward_backward(ConstTensorView features, std::span<const std::uint8_t> labels, Ready&& ready) {
    return forward_backward(features, labels, ready, [] {});
  }
  /// As above; `forward_done()` is called once between the loss and the first gradient, before any `ready`. No rows: it is
  /// called all the same.
  template <class Ready, class ForwardDone>
  double forward_backward(ConstTensorView features, std::span<const std::uint8_t> labels, Ready&& ready,
                          ForwardDone&& forward_done) {
    using Callable = std::remove_reference_t<Ready>;
    using Boundary = std::remove_reference_t<ForwardDone>;
    return run(features, labels,
               {address_of(ready), [](void* callable, std::size_t p) { (*static_cast<Callable*>(callable))(p); },
                address_of(forward_done), [](void* callable) { (*static_cast<Boundary*>(callable))(); }});
  }
  double forward_backward(ConstTensorView features, std::span<const std::uint8_t> labels) {
    return forward_backward(features, labels, [](std::size_t) {});
  }

  /// Rows that one pass of evaluate() takes. Shares of an evaluation cut at its multiples meet the same shapes, hence
  /// the same bits per row, on any number of ranks.
  static constexpr std::size_t evaluation_rows = 256;

  /// How many rows have their label as the (first) largest output, and the sum of their losses. Gradients are not
  /// touched. Unless empty, `losses` gets the loss of every row: summed over all ranks' rows in one order, they give a
  /// loss whose bits do not depend on the number of ranks.
  /// Shape:  as forward_backward; losses empty or rows.
  /// Order:  losses within a block of evaluation_rows as kernels/norm sums a block, blocks by the balanced tree.
  /// Errors: as forward_backward.
  Evaluation evaluate(ConstTensorView features, std::span<const std::uint8_t> labels, std::span<double> losses = {});

 private:
  /// References to the caller's callables: nothing is owned, nothing allocated.
  struct Listener {
    void* ready_callable;
    void (*call_ready)(void* callable, std::size_t parameter);
    void* forward_done_callable;
    void (*call_forward_done)(void* callable);
    void ready(std::size_t parameter) const { call_ready(ready_callable, parameter); }
    void forward_done() const { call_forward_done(forward_done_callable); }
  };
  template <class Callable>
  static void* address_of(Callable& callable) {
    return const_cast<void*>(static_cast<const void*>(std::addressof(callable)));
  }

  double run(ConstTensorView features, std::span<const std::uint8_t> labels, const Listener& listener);
  const T* checked(ConstTensorView features, std::span<const std::uint8_t> labels);
  void make_room(std::size_t rows);
  void forward(const T* features, std::size_t rows);
  std::size_t layers() const { return sizes_.size() - 1; }
  T* weight(std::size_t layer) const { return static_cast<T*>(parameters_[2 * layer].value.data); }
  T* bias(std::size_t layer) const { return static_cast<T*>(parameters_[2 * layer + 1].value.data); }

  std::vector<std::size_t> sizes_;
  data::AlignedBuffer<T> values_;
  data::AlignedBuffer<T> gradients_;
  std::vector<Parameter> parameters_;
  data::AlignedBuffer<T> features_copy_;             // used only for features that are not 64-byte aligned
  std::vector<data::AlignedBuffer<T>> activations_;  // of every layer: rows x outputs; the last are the logits
  data::AlignedBuffer<T> delta_;                     // derivative of the loss by a layer's outputs
  data::AlignedBuffer<T> next_delta_;                // the same for the layer below
  data::AlignedBuffer<double> losses_;               // of every row
};

extern template class Mlp<float>;
extern template class Mlp<double>;

}  // namespace trireme::models
