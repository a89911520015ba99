// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace trireme::tensor_parallel {

/// Settings of ExpertParallelMlp. Equal on all ranks of the axis.
struct ExpertMlpOptions {
  std::size_t channels = 0;
  std::size_t hidden = 0;
  std::size_t experts = 0;  ///< any number; ranks have shares that differ by at most one
  std::size_t top = 2;      ///< experts that a token goes to
  bool renormalise = true;  ///< gates of a token add up to 1; else they are the probabilities themselves (Switch)
  /// An expert takes ceil(capacity_factor top tokens/experts) of each rank's tokens, first choices before second ones, each in the
  /// order of the tokens; what does not fit is dropped, which makes results depend on the number of ranks. 0: no limit.
  double capacity_factor = 0.0;
  double balance = 0.01;  ///< coefficient of the load-balancing loss
};

/// A mixture-of-experts MLP of which each rank of an axis has some experts, and tokens of its own: with p = softmax(R x) over the
/// experts and the `top` greatest chosen, y = sum over chosen e of g_e W2_e gelu(W1_e x + b1_e) + b2_e. Tokens travel to
/// their experts and back by all_to_all.
/// The load-balancing loss is balance E sum over e of f_e P_e: f_e the share of all choices of all ranks' tokens that fell on e, a
/// constant to the gradient, P_e the mean of p_e over them; 1 times `balance` when all experts are used alike.
/// Shape:   R {experts, channels}, the same on every rank; of this rank's experts W1 {its experts, hidden, channels}, b1 {…,
///          hidden}, W2 {…, channels, hidden}, b2 {…, channels}: shares of weights(). Any number of tokens on each rank, none
///          included. T is float or double.
/// Order:   equal choices: the lower expert. An expert adds its tokens in the order of ranks, then of choices, then of tokens:
///          equal to all tokens on one rank but for rounding; every run repeats itself.
/// Cost:    per chosen expert and token 2 channels elements sent forward, 2 backward, less those of own experts; one all_to_all of a
///          count per expert; with balance an all_reduce of 2 experts f64.
/// Threads: as Axis.  Errors: invalid_argument naming the layer; as conjugate.hpp.
/// Source:  Shazeer et al., 2017 (arXiv 1701.06538); Lepikhin et al., GShard, 2020 (arXiv 2006.16668); Fedus, Zoph, Shazeer,
///          Switch Transformers, 2021 (arXiv 2101.03961).
template <class T>
class ExpertParallelMlp {
 public:
  /// `name`: of the layer, for errors.
  ExpertParallelMlp(Axis& axis, std::string name, const ExpertMlpOptions& options);
  ExpertParallelMlp(ExpertParallelMlp&&) noexcept;
  ~ExpertParallelMlp();

  /// Of a tensor with so many elements per expert.
  Split weights(std::size_t elements) const { return {1, options_.experts, elements}; }
  std::size_t local_experts() const { return axis_.share({1, options_.experts, 1}).size(); }

  struct Weights {
    const T* router = nullptr;
    const T *w1 = nullptr, *b1 = nullptr, *w2 = nullptr, *b2 = nullptr;
  };
  /// As Weights, overwritten. That of the router is of this rank's tokens: summed over the axis like any weight that every rank
  /// has. Those of experts are of all ranks' tokens already.
  struct Gradients {
    T* router = nullptr;
    T *w1 = nullptr, *b1 = nullptr, *w2 = nullptr, *b2 = nullptr;
  };
  /// y of this rank's tokens; keeps what the backward pass needs. Returns the load-balancing loss, the same on every rank.
  double forward(const T* x, std::size_t tokens, const Weights& weights, T* y);
  /// From dy to dx and the gradients, after forward() of the same tokens. `balance_weight` multiplies the load-balancing loss
  /// in what is derived: its weight beside that of which dy is the derivative.
  void backward(const T* x, const T* dy, std::size_t tokens, const Weights& weights, const Gradients& gradients, T* dx,
                double balance_weight = 1.0);

  /// Choices of this rank's tokens that found no place in the last forward().
  std::size_t dropped() const;

 private:
  struct State;
  Axis& axis_;
  std::string name_;
  ExpertMlpOptions options_;
  std::unique_ptr<State> state_;  // what forward() leaves
};

extern template class ExpertParallelMlp<float>;
extern template class ExpertParallelMlp<double>;

}  // namespace trireme::tensor_parallel
