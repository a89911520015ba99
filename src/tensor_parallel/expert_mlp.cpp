// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/expert_mlp.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/gelu/gelu.hpp"
#include "tensor_parallel/expert_choices.hpp"
#include "tensor_parallel/expert_exchange.hpp"
#include "tensor_parallel/product.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace trireme::tensor_parallel {

template <class T>
struct ExpertParallelMlp<T>::State {
  ExpertChoices<T> routed;
  ExpertExchange<T> exchange;
  std::vector<T> rows, returned;               ///< sent, and what came back
  std::vector<T> inputs, expanded, activated;  ///< of the experts here
};

template <class T>
ExpertParallelMlp<T>::ExpertParallelMlp(Axis& axis, std::string name, const ExpertMlpOptions& options)
    : axis_(axis), name_(std::move(name)), options_(options), state_(std::make_unique<State>()) {
  const auto refuse = [&](const std::string& what) { fail(ErrorCode::invalid_argument, "'" + name_ + "': " + what); };
  if (options.channels == 0 || options.hidden == 0 || options.experts == 0 || options.experts > (1u << 20)) {
    refuse(std::to_string(options.experts) + " experts of " + std::to_string(options.channels) + " channels and " +
           std::to_string(options.hidden) + " hidden units are not possible");
  }
  if (options.top == 0 || options.top > options.experts) {
    refuse("a token cannot go to " + std::to_string(options.top) + " of " + std::to_string(options.experts) +
           " experts");
  }
  if (!std::isfinite(options.capacity_factor) || options.capacity_factor < 0)
    refuse("capacity_factor must be finite and at least 0 (no limit)");
  if (!std::isfinite(options.balance) || options.balance < 0) refuse("balance must be finite and at least 0");
}

template <class T>
ExpertParallelMlp<T>::ExpertParallelMlp(ExpertParallelMlp&&) noexcept = default;
template <class T>
ExpertParallelMlp<T>::~ExpertParallelMlp() = default;

template <class T>
std::size_t ExpertParallelMlp<T>::dropped() const {
  return state_->routed.dropped;
}

template <class T>
double ExpertParallelMlp<T>::forward(const T* x, std::size_t tokens, const Weights& weights, T* y) {
  const kernels::FloatEnvironment environment;
  State& state = *state_;
  const std::size_t channels = options_.channels, hidden = options_.hidden;
  state.routed.route(axis_, options_, x, tokens, weights.router);
  const auto& choices = state.routed.choices;
  const double loss = options_.balance > 0 ? state.routed.balance_loss(axis_, options_, name_) : 0.0;
  state.exchange.begin(axis_, this->weights(1), channels, state.routed.rows, name_);
  state.rows.resize((choices.size() - dropped()) * channels);
  for (std::size_t c = 0; c < choices.size(); ++c) {
    if (choices[c].place != choices[c].nowhere)
      std::copy_n(x + c / options_.top * channels, channels, state.rows.data() + choices[c].place * channels);
  }
  state.exchange.to_experts(axis_, state.rows.data(), state.inputs, name_);

  const auto& begins = state.exchange.begins();
  state.expanded.resize(begins.back() * hidden);
  state.activated.resize(begins.back() * hidden);
  std::vector<T> outputs(begins.back() * channels);
  for (std::size_t e = 0; e + 1 < begins.size(); ++e) {
    const std::size_t begin = begins[e], rows = begins[e + 1] - begin;
    T *const expanded = state.expanded.data() + begin * hidden,
             *const activated = state.activated.data() + begin * hidden, *const out = outputs.data() + begin * channels;
    product(axis_, Form::plain, Form::transposed, rows, hidden, channels, state.inputs.data() + begin * channels,
            weights.w1 + e * hidden * channels, expanded);
    kernels::add_bias_gelu(activated, expanded, weights.b1 + e * hidden, rows, hidden);
    product(axis_, Form::plain, Form::transposed, rows, channels, hidden, activated, weights.w2 + e * channels * hidden,
            out);
    kernels::add_bias(out, weights.b2 + e * channels, rows, channels);
  }
  state.returned.resize(state.rows.size());
  state.exchange.from_experts(axis_, outputs, state.returned.data(), name_);

  std::fill_n(y, tokens * channels, T{0});
  for (std::size_t c = 0; c < choices.size(); ++c) {
    if (choices[c].place == choices[c].nowhere) continue;
    const T* const row = state.returned.data() + choices[c].place * channels;
    T* const to = y + c / options_.top * channels;
    for (std::size_t i = 0; i < channels; ++i) to[i] = to[i] + choices[c].gate * row[i];
  }
  return loss;
}

template <class T>
void ExpertParallelMlp<T>::backward(const T* x, const T* dy, std::size_t tokens, const Weights& weights,
                                    const Gradients& gradients, T* dx, double balance_weight) {
  State& state = *state_;
  const auto& choices = state.routed.choices;
  if (choices.size() != tokens * options_.top) {
    fail(ErrorCode::invalid_argument, "'" + name_ + "': backward of " + std::to_string(tokens) +
                                          " tokens follows a forward pass of " +
                                          std::to_string(choices.size() / options_.top));
  }
  const kernels::FloatEnvironment environment;
  const std::size_t channels = options_.channels, hidden = options_.hidden, experts = options_.experts;
  // By the gates, and by what the experts gave.
  std::vector<T> dgates(choices.size(), T{0});
  for (std::size_t c = 0; c < choices.size(); ++c) {
    if (choices[c].place == choices[c].nowhere) continue;
    const T *const d = dy + c / options_.top * channels, *const row =
                                                             state.returned.data() + choices[c].place * channels;
    T* const to = state.rows.data() + choices[c].place * channels;
    double dot = 0;
    for (std::size_t i = 0; i < channels; ++i) {
      dot += static_cast<double>(d[i]) * static_cast<double>(row[i]);
      to[i] = choices[c].gate * d[i];
    }
    dgates[c] = static_cast<T>(dot);
  }
  std::vector<T> doutputs;
  state.exchange.to_experts(axis_, state.rows.data(), doutputs, name_);
  std::vector<T> dinputs(state.inputs.size()), dhidden;
  const auto& begins = state.exchange.begins();
  for (std::size_t e = 0; e + 1 < begins.size(); ++e) {
    const std::size_t begin = begins[e], rows = begins[e + 1] - begin;
    const T *const dout = doutputs.data() + begin * channels,
                   *const activated = state.activated.data() + begin * hidden,
                   *const expanded = state.expanded.data() + begin * hidden;
    dhidden.resize(rows * hidden);
    kernels::column_sum(gradients.b2 + e * channels, dout, rows, channels);
    product(axis_, Form::transposed, Form::plain, channels, hidden, rows, dout, activated,
            gradients.w2 + e * channels * hidden);
    product(axis_, Form::plain, Form::plain, rows, hidden, channels, dout, weights.w2 + e * channels * hidden,
            dhidden.data());
    kernels::gelu_backward(dhidden.data(), dhidden.data(), expanded, rows * hidden);
    kernels::column_sum(gradients.b1 + e * hidden, dhidden.data(), rows, hidden);
    product(axis_, Form::transposed, Form::plain, hidden, channels, rows, dhidden.data(),
            state.inputs.data() + begin * channels, gradients.w1 + e * hidden * channels);
    product(axis_, Form::plain, Form::plain, rows, channels, hidden, dhidden.data(), weights.w1 + e * hidden * channels,
            dinputs.data() + begin * channels);
  }
  state.exchange.from_experts(axis_, dinputs, state.rows.data(), name_);

  const std::vector<T> dlogits = state.routed.logit_gradients(options_, dgates, balance_weight);
  product(axis_, Form::transposed, Form::plain, experts, channels, tokens, dlogits.data(), x, gradients.router);
  product(axis_, Form::plain, Form::plain, tokens, channels, experts, dlogits.data(), weights.router, dx);
  for (std::size_t c = 0; c < choices.size(); ++c) {
    if (choices[c].place == choices[c].nowhere) continue;
    const T* const row = state.rows.data() + choices[c].place * channels;
    T* const to = dx + c / options_.top * channels;
    for (std::size_t i = 0; i < channels; ++i) to[i] = to[i] + row[i];
  }
}

template class ExpertParallelMlp<float>;
template class ExpertParallelMlp<double>;

}  // namespace trireme::tensor_parallel
