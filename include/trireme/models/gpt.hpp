// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/base/parameter_access.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/models/sample_place.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace trireme::models {

class ParameterUse;

struct GptOptions {
  std::size_t vocabulary = 256;  ///< 2 to 65536: tokens are 16 bits; 256 for bytes
  std::size_t context = 128;     ///< positions of a row
  std::size_t layers = 6;
  std::size_t heads = 6;  ///< of attention; a divisor of channels
  std::size_t channels = 384;
  std::uint64_t seed = 0;
  bool recompute = false;  ///< keep only every block's input and compute the rest again in backward: the same bits
  double dropout = 0.0;    ///< probability, [0, 1): of embeddings, attention weights and both branches of every block
  /// No memory for values and gradients, and no initial values: parameters() has counts and types alone until use_access()
  /// lends them memory; a pass before that is refused (invalid_argument). For models that no rank holds whole (ZeRO stage 3).
  bool memory_elsewhere = false;
};

/// What evaluate() finds: to be added over calls and ranks.
struct TokenEvaluation {
  std::size_t tokens = 0;
  double loss_sum = 0.0;  ///< natural-logarithm cross entropy, not divided by the tokens
};

/// A decoder-only transformer with a hand-written backward pass. x = E[token] + P[position]; every block adds
/// attention(norm1(x)), then mlp(norm2(x)); logits = final_norm(x) E^T; the loss is the mean cross entropy over all
/// positions. Attention is causal, softmax(q k^T/sqrt(channels/heads)) v per head, one product for q, k and v; the MLP is
/// four times as wide inside, with GELU in its tanh form (kernels/gelu); norms have epsilon 1e-5.
/// Shape:   C channels. Parameters: token_embedding.weight {vocabulary, C}, position_embedding.weight {context, C}; of every
///          block block0.norm1.weight, .bias {C}, block0.attention.qkv.weight {3C, C}, .bias,
///          block0.attention.projection.weight {C, C}, .bias, block0.norm2.weight, .bias, block0.mlp.expand.weight {4C, C},
///          .bias, block0.mlp.contract.weight {C, 4C}, .bias; final_norm.weight, .bias. Rows of qkv: q of all heads, then
///          k, then v. Values and gradients 64-byte aligned, at the same address for the model's life unless
///          use_gradients() says otherwise.
/// Start:   biases 0, weights of norms 1, others uniform with standard deviation 0.02, those of projection and contract
///          less by the root of 2 layers: element e of parameter p is (2u - 1) b rounded to T, u the upper 53 bits of
///          data::philox_at(data::stream_key(seed, p), e), b the deviation times the root of 3.
/// Order:   a call's results depend on the parameters and the call's samples (with dropout, on their place too), not on
///          earlier calls, other samples or addresses. A later token changes no bit of an earlier position.
/// Cost:    6 flops per weight and token, and 12 context C per layer and token for attention (its upper triangle is multiplied,
///          too); a quarter more of nearly everything with recompute. No heap in a call whose rows fit the workspace, which
///          the first call makes.
/// Threads: one at a time per model.
/// Source:  Vaswani et al., NeurIPS 2017 (arXiv 1706.03762); Radford et al., "Language models are unsupervised multitask
///          learners", 2019.
template <class T>
class Gpt {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);

 public:
  /// Errors: invalid_argument naming the option.
  explicit Gpt(const GptOptions& options);
  Gpt(Gpt&&) noexcept;
  Gpt& operator=(Gpt&&) noexcept;
  ~Gpt();

  const GptOptions& options() const { return options_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// From here on gradients are written where those of `parameters` lie (DataParallel's bucket views), in place of the
  /// model's own memory, which is given back.
  /// Shape:  as parameters(), in the same order; 64-byte aligned, valid while backward passes run, or until the next call.
  /// Errors: invalid_argument, naming the parameter, and nothing is changed.
  void use_gradients(std::span<const Parameter> parameters);

  /// What belongs together when parameters come and go: both embeddings and the final norm, then every block; for
  /// DataParallelOptions::units.
  std::vector<std::vector<std::string>> units() const;
  /// From here on values and gradients have their memory where `access` says, each unit while it is used. The model's own
  /// gradients are given back; its values, if it has any, stay where they are: they are what stage 2 uses. Every pass then communicates: all ranks take as many, of the same kind, in the same order (a forward_backward
  /// without rows as well).
  /// Shape:  its units are units(); must outlive the model's passes.
  /// Errors: invalid_argument when they are others.
  void use_access(ParameterAccess& access);
  /// Elements [first, first + part.count) of the initial values of a parameter: what `Start` says, for
  /// DataParallelOptions::initial.
  void set_initial(std::size_t parameter, std::size_t first, TensorView part) const;

  /// Where the samples of the next calls of forward_backward stand; only dropout asks. {0, 0} until it is called. Row r has
  /// the masks of (seed, step, first_row + r, layer, element): they do not depend on how a batch is cut into leaves or
  /// over ranks.
  void set_place(const SamplePlace& place) { place_ = place; }

  /// The mean cross entropy over all positions of the rows; overwrites every gradient with its mean. `ready(p)` is called
  /// once per parameter, as soon as gradient p is final and before work on what lies below goes on: p descends from the last
  /// parameter to 0, the tied embedding. What `ready` throws leaves this call; the gradients are then unspecified.
  /// Shape:  tokens rows x (context + 1): inputs are the first `context` of a row, targets the last. No rows: loss 0,
  ///         gradients 0.
  /// Errors: invalid_argument when the count or a token does not fit.
  template <class Ready>
  double forward_backward(std::span<const std::uint16_t> tokens, std::size_t rows, Ready&& ready) {
    return forward_backward(tokens, rows, ready, [] {});
  }
  /// As above; `forward_done()` is called once between the loss and the first gradient, before any `ready`. No rows: it is
  /// called all the same.
  template <class Ready, class ForwardDone>
  double forward_backward(std::span<const std::uint16_t> tokens, std::size_t rows, Ready&& ready,
                          ForwardDone&& forward_done) {
    using Callable = std::remove_reference_t<Ready>;
    using Boundary = std::remove_reference_t<ForwardDone>;
    return run(tokens, rows,
               {address_of(ready), [](void* callable, std::size_t p) { (*static_cast<Callable*>(callable))(p); },
                address_of(forward_done), [](void* callable) { (*static_cast<Boundary*>(callable))(); }});
  }
  double forward_backward(std::span<const std::uint16_t> tokens, std::size_t rows) {
    return forward_backward(tokens, rows, [](std::size_t) {});
  }

  /// Rows that one pass of evaluate() takes. Shares of an evaluation cut at its multiples meet the same shapes, hence
  /// the same bits per row, on any number of ranks.
  static constexpr std::size_t evaluation_rows = 8;

  /// The number of targets and the sum of their losses, without dropout. Gradients are not touched. Unless empty, `losses`
  /// gets the loss of every target: summed over all ranks' rows in one order, they give a loss whose bits do not depend on
  /// the number of ranks.
  /// Shape:  tokens as forward_backward; losses empty or rows x context. `passes`: as many passes of evaluation_rows rows are
  ///         taken at least, the last ones of none: with use_access() all ranks must take as many.
  /// Errors: as forward_backward.
  TokenEvaluation evaluate(std::span<const std::uint16_t> tokens, std::size_t rows, std::span<double> losses = {},
                           std::size_t passes = 0);

  /// The logits behind every token of one sequence, without dropout.
  /// Shape:  1 to `context` tokens; the result tokens x vocabulary, in the model's memory until its next call.
  /// Errors: invalid_argument when the count or a token does not fit.
  std::span<const T> logits(std::span<const std::uint16_t> tokens);

  /// `count` tokens that follow the prompt, token i of them drawn from softmax(logits/temperature) with
  /// data::philox_at(seed, 2i); temperature 0 takes the first of the greatest logits. The model sees the last `context` tokens.
  /// Shape:  at least one token in the prompt.
  /// Cost:   a forward pass over all tokens seen, for every token drawn: keys and values are not kept.
  /// Errors: invalid_argument when the prompt is empty or out of the vocabulary, or the temperature negative or infinite.
  std::vector<std::uint16_t> generate(std::span<const std::uint16_t> prompt, std::size_t count, double temperature,
                                      std::uint64_t seed);

 private:
  struct Workspace;
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

  double run(std::span<const std::uint16_t> tokens, std::size_t rows, const Listener& listener);
  void head_backward(const Listener& listener);
  void backward(std::size_t rows, const Listener& listener);

  GptOptions options_;
  data::AlignedBuffer<T> values_;
  data::AlignedBuffer<T> gradients_;
  std::vector<Parameter> parameters_;
  SamplePlace place_;
  std::unique_ptr<ParameterUse> use_;
  std::unique_ptr<Workspace> workspace_;
};

extern template class Gpt<float>;
extern template class Gpt<double>;

}  // namespace trireme::models
