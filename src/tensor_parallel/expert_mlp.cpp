// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/expert_mlp.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/gelu/gelu.hpp"
#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy.hpp"
#include "tensor_parallel/product.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

namespace trireme::tensor_parallel {

template <class T>
ExpertParallelMlp<T>::ExpertParallelMlp(Axis& axis, std::string name, const ExpertMlpOptions& options)
    : axis_(axis), name_(std::move(name)), options_(options) {
  const auto refuse = [&](const std::string& what) { fail(ErrorCode::invalid_argument, "'" + name_ + "': " + what); };
  if (options.channels == 0 || options.hidden == 0 || options.experts == 0 || options.experts > (1u << 20)) {
    refuse(std::to_string(options.experts) + " experts of " + std::to_string(options.channels) + " channels and " +
           std::to_string(options.hidden) + " hidden units are not possible");
  }
  if (options.top == 0 || options.top > options.experts)
    refuse("a token cannot go to " + std::to_string(options.top) + " of " + std::to_string(options.experts) +
           " experts");
  if (!std::isfinite(options.capacity_factor) || options.capacity_factor < 0)
    refuse("capacity_factor must be finite and at least 0 (no limit)");
  if (!std::isfinite(options.balance) || options.balance < 0) refuse("balance must be finite and at least 0");
}

/// The `top` greatest probabilities of a token, the first of equals.
template <class T>
void ExpertParallelMlp<T>::choose(std::size_t token) {
  const T* const p = probabilities_.data() + token * options_.experts;
  Choice* const chosen = choices_.data() + token * options_.top;
  T total{0};
  for (std::size_t k = 0; k < options_.top; ++k) {
    const auto taken = [&](std::size_t e) {
      return std::any_of(chosen, chosen + k, [e](const Choice& before) { return before.expert == e; });
    };
    std::size_t best = options_.experts;
    for (std::size_t e = 0; e < options_.experts; ++e)
      if (!taken(e) && (best == options_.experts || p[e] > p[best])) best = e;
    chosen[k] = {static_cast<std::uint32_t>(best), p[best], nowhere};
    total = total + p[best];
  }
  if (!options_.renormalise) return;
  for (std::size_t k = 0; k < options_.top; ++k) chosen[k].gate = chosen[k].gate / total;
}

template <class T>
void ExpertParallelMlp<T>::route(const T* x, std::size_t tokens, const T* router) {
  const std::size_t experts = options_.experts;
  probabilities_.resize(tokens * experts);
  choices_.resize(tokens * options_.top);
  product(axis_, Form::plain, Form::transposed, tokens, experts, options_.channels, x, router, probabilities_.data());
  std::vector<T> greatest(tokens);
  std::vector<double> sums(tokens);
  kernels::row_maxima(greatest.data(), probabilities_.data(), tokens, experts);
  kernels::row_exponentials(probabilities_.data(), sums.data(), greatest.data(), tokens, experts);
  for (double& each : sums) each = 1.0 / each;
  kernels::scale_rows(probabilities_.data(), sums.data(), tokens, experts);
  for (std::size_t token = 0; token < tokens; ++token) choose(token);
}

/// Rows are sent by expert, within an expert in the order in which choices were made.
template <class T>
void ExpertParallelMlp<T>::assign_places(std::size_t tokens) {
  const auto limit =
      options_.capacity_factor > 0
          ? static_cast<std::uint64_t>(std::ceil(options_.capacity_factor * static_cast<double>(options_.top) *
                                                 static_cast<double>(tokens) / static_cast<double>(options_.experts)))
          : ~std::uint64_t{0};
  sent_.assign(options_.experts, 0);
  dropped_ = 0;
  for (std::size_t k = 0; k < options_.top; ++k) {
    for (std::size_t token = 0; token < tokens; ++token) {
      Choice& choice = choices_[token * options_.top + k];
      std::uint64_t& count = sent_[choice.expert];
      choice.place = count < limit ? static_cast<std::size_t>(count++) : nowhere;
      dropped_ += choice.place == nowhere;
    }
  }
  std::vector<std::size_t> begin(options_.experts);
  std::exclusive_scan(sent_.begin(), sent_.end(), begin.begin(), std::size_t{0});
  for (Choice& choice : choices_)
    if (choice.place != nowhere) choice.place += begin[choice.expert];
}

template <class T>
double ExpertParallelMlp<T>::balance_loss(std::size_t tokens) {
  const std::size_t experts = options_.experts;
  load_.assign(2 * experts + 1, 0.0);
  for (const Choice& choice : choices_) load_[choice.expert] += 1.0;
  for (std::size_t token = 0; token < tokens; ++token)
    for (std::size_t e = 0; e < experts; ++e)
      load_[experts + e] += static_cast<double>(probabilities_[token * experts + e]);
  load_[2 * experts] = static_cast<double>(tokens);
  if (axis_.size() > 1) {
    Communicator communicator = axis_.communicator();
    communicator.all_reduce(std::span<double>(load_), sum, axis_.call(name_));
  }
  const double all = load_[2 * experts];
  if (all == 0) return 0.0;
  double loss = 0;
  for (std::size_t e = 0; e < experts; ++e) {
    load_[e] /= all * static_cast<double>(options_.top);
    loss += load_[e] * (load_[experts + e] / all);
  }
  return options_.balance * static_cast<double>(experts) * loss;
}

template <class T>
void ExpertParallelMlp<T>::exchange_counts() {
  const auto ranks = static_cast<std::size_t>(axis_.size());
  const Split split{1, options_.experts, 1};
  const std::size_t own = local_experts();
  std::vector<std::size_t> to(ranks), from(ranks, own);
  for (std::size_t r = 0; r < ranks; ++r) to[r] = split.share(static_cast<int>(r), axis_.size()).size();
  received_.assign(ranks * own, 0);
  if (ranks == 1) {
    received_ = sent_;
  } else {
    Communicator communicator = axis_.communicator();
    communicator.all_to_all(std::span<const std::uint64_t>(sent_), to, std::span<std::uint64_t>(received_), from,
                            axis_.call(name_));
  }
  send_elements_.assign(ranks, 0);
  receive_elements_.assign(ranks, 0);
  begins_.assign(own + 1, 0);
  for (std::size_t r = 0; r < ranks; ++r) {
    const layout::Interval theirs = split.share(static_cast<int>(r), axis_.size());
    for (std::size_t e = theirs.begin; e < theirs.end; ++e) send_elements_[r] += sent_[e] * options_.channels;
    for (std::size_t e = 0; e < own; ++e) {
      receive_elements_[r] += received_[r * own + e] * options_.channels;
      begins_[e + 1] += received_[r * own + e];
    }
  }
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
}

/// Between rows by rank, then expert, as they travel, and by expert, then rank, as experts take them.
template <class T>
void ExpertParallelMlp<T>::regroup(const T* from, T* to, bool by_expert) const {
  const std::size_t own = begins_.size() - 1, channels = options_.channels;
  std::vector<std::size_t> next(begins_.begin(), begins_.end());
  std::size_t travelling = 0;
  for (std::size_t r = 0; r < receive_elements_.size(); ++r) {
    for (std::size_t e = 0; e < own; ++e) {
      const std::size_t rows = received_[r * own + e];
      const std::size_t source = by_expert ? travelling : next[e], target = by_expert ? next[e] : travelling;
      std::copy_n(from + source * channels, rows * channels, to + target * channels);
      travelling += rows;
      next[e] += rows;
    }
  }
}

template <class T>
void ExpertParallelMlp<T>::to_experts(const T* rows, std::vector<T>& at_experts) {
  const std::size_t here = begins_.back() * options_.channels;
  const std::size_t there = std::accumulate(send_elements_.begin(), send_elements_.end(), std::size_t{0});
  at_experts.resize(here);
  if (axis_.size() == 1) {
    std::copy_n(rows, here, at_experts.data());
    return;
  }
  travelling_.resize(here);
  Communicator communicator = axis_.communicator();
  communicator.all_to_all(std::span<const T>(rows, there), send_elements_, std::span<T>(travelling_), receive_elements_,
                          axis_.call(name_));
  regroup(travelling_.data(), at_experts.data(), true);
}

template <class T>
void ExpertParallelMlp<T>::from_experts(const std::vector<T>& at_experts, T* rows) {
  if (axis_.size() == 1) {
    std::copy(at_experts.begin(), at_experts.end(), rows);
    return;
  }
  const std::size_t there = std::accumulate(send_elements_.begin(), send_elements_.end(), std::size_t{0});
  travelling_.resize(at_experts.size());
  regroup(at_experts.data(), travelling_.data(), false);
  Communicator communicator = axis_.communicator();
  communicator.all_to_all(std::span<const T>(travelling_), receive_elements_, std::span<T>(rows, there), send_elements_,
                          axis_.call(name_));
}

template <class T>
double ExpertParallelMlp<T>::forward(const T* x, std::size_t tokens, const Weights& weights, T* y) {
  const kernels::FloatEnvironment environment;
  const std::size_t channels = options_.channels, hidden = options_.hidden;
  route(x, tokens, weights.router);
  assign_places(tokens);
  const double loss = options_.balance > 0 ? balance_loss(tokens) : 0.0;
  exchange_counts();
  rows_.resize((choices_.size() - dropped_) * channels);
  for (std::size_t c = 0; c < choices_.size(); ++c) {
    if (choices_[c].place != nowhere)
      std::copy_n(x + c / options_.top * channels, channels, rows_.data() + choices_[c].place * channels);
  }
  to_experts(rows_.data(), inputs_);

  const std::size_t here = begins_.back();
  expanded_.resize(here * hidden);
  activated_.resize(here * hidden);
  std::vector<T> outputs(here * channels);
  for (std::size_t e = 0; e + 1 < begins_.size(); ++e) {
    const std::size_t begin = begins_[e], rows = begins_[e + 1] - begin;
    T *const expanded = expanded_.data() + begin * hidden, *const activated = activated_.data() + begin * hidden,
             *const out = outputs.data() + begin * channels;
    product(axis_, Form::plain, Form::transposed, rows, hidden, channels, inputs_.data() + begin * channels,
            weights.w1 + e * hidden * channels, expanded);
    kernels::add_bias_gelu(activated, expanded, weights.b1 + e * hidden, rows, hidden);
    product(axis_, Form::plain, Form::transposed, rows, channels, hidden, activated, weights.w2 + e * channels * hidden,
            out);
    kernels::add_bias(out, weights.b2 + e * channels, rows, channels);
  }
  returned_.resize(rows_.size());
  from_experts(outputs, returned_.data());

  std::fill_n(y, tokens * channels, T{0});
  for (std::size_t c = 0; c < choices_.size(); ++c) {
    if (choices_[c].place == nowhere) continue;
    const T* const row = returned_.data() + choices_[c].place * channels;
    T* const to = y + c / options_.top * channels;
    for (std::size_t i = 0; i < channels; ++i) to[i] = to[i] + choices_[c].gate * row[i];
  }
  return loss;
}

template <class T>
void ExpertParallelMlp<T>::backward(const T* x, const T* dy, std::size_t tokens, const Weights& weights,
                                    const Gradients& gradients, T* dx, double balance_weight) {
  if (choices_.size() != tokens * options_.top) {
    fail(ErrorCode::invalid_argument, "'" + name_ + "': backward of " + std::to_string(tokens) +
                                          " tokens follows a forward pass of " +
                                          std::to_string(choices_.size() / options_.top));
  }
  const kernels::FloatEnvironment environment;
  const std::size_t channels = options_.channels, hidden = options_.hidden, experts = options_.experts;
  // By the gates, and by what the experts gave.
  std::vector<T> dgates(choices_.size(), T{0});
  for (std::size_t c = 0; c < choices_.size(); ++c) {
    if (choices_[c].place == nowhere) continue;
    const T *const d = dy + c / options_.top * channels, *const row = returned_.data() + choices_[c].place * channels;
    T* const to = rows_.data() + choices_[c].place * channels;
    double dot = 0;
    for (std::size_t i = 0; i < channels; ++i) {
      dot += static_cast<double>(d[i]) * static_cast<double>(row[i]);
      to[i] = choices_[c].gate * d[i];
    }
    dgates[c] = static_cast<T>(dot);
  }
  std::vector<T> doutputs;
  to_experts(rows_.data(), doutputs);
  std::vector<T> dinputs(inputs_.size()), dhidden;
  for (std::size_t e = 0; e + 1 < begins_.size(); ++e) {
    const std::size_t begin = begins_[e], rows = begins_[e + 1] - begin;
    const T *const dout = doutputs.data() + begin * channels, *const activated = activated_.data() + begin * hidden,
                   *const expanded = expanded_.data() + begin * hidden;
    dhidden.resize(rows * hidden);
    kernels::column_sum(gradients.b2 + e * channels, dout, rows, channels);
    product(axis_, Form::transposed, Form::plain, channels, hidden, rows, dout, activated,
            gradients.w2 + e * channels * hidden);
    product(axis_, Form::plain, Form::plain, rows, hidden, channels, dout, weights.w2 + e * channels * hidden,
            dhidden.data());
    kernels::gelu_backward(dhidden.data(), dhidden.data(), expanded, rows * hidden);
    kernels::column_sum(gradients.b1 + e * hidden, dhidden.data(), rows, hidden);
    product(axis_, Form::transposed, Form::plain, hidden, channels, rows, dhidden.data(),
            inputs_.data() + begin * channels, gradients.w1 + e * hidden * channels);
    product(axis_, Form::plain, Form::plain, rows, channels, hidden, dhidden.data(), weights.w1 + e * hidden * channels,
            dinputs.data() + begin * channels);
  }
  from_experts(dinputs, rows_.data());

  // By the probabilities, then by the router's logits: dz = p (dp - sum of p dp).
  const double all = load_.empty() ? 0.0 : load_.back();
  const double balance =
      options_.balance > 0 && all > 0 ? balance_weight * options_.balance * static_cast<double>(experts) / all : 0.0;
  std::vector<T> dlogits(tokens * experts);
  std::vector<double> dp(experts);
  for (std::size_t token = 0; token < tokens; ++token) {
    const T* const p = probabilities_.data() + token * experts;
    const Choice* const chosen = choices_.data() + token * options_.top;
    const T* const dgate = dgates.data() + token * options_.top;
    for (std::size_t e = 0; e < experts; ++e) dp[e] = balance != 0.0 ? balance * load_[e] : 0.0;
    double total = 1.0, mean = 0.0;
    if (options_.renormalise) {
      total = 0.0;
      for (std::size_t k = 0; k < options_.top; ++k) {
        total += static_cast<double>(p[chosen[k].expert]);
        mean += static_cast<double>(dgate[k]) * static_cast<double>(chosen[k].gate);
      }
    }
    for (std::size_t k = 0; k < options_.top; ++k)
      dp[chosen[k].expert] += (static_cast<double>(dgate[k]) - mean) / total;
    double dot = 0;
    for (std::size_t e = 0; e < experts; ++e) dot += static_cast<double>(p[e]) * dp[e];
    for (std::size_t e = 0; e < experts; ++e)
      dlogits[token * experts + e] = static_cast<T>(static_cast<double>(p[e]) * (dp[e] - dot));
  }
  product(axis_, Form::transposed, Form::plain, experts, channels, tokens, dlogits.data(), x, gradients.router);
  product(axis_, Form::plain, Form::plain, tokens, channels, experts, dlogits.data(), weights.router, dx);
  for (std::size_t c = 0; c < choices_.size(); ++c) {
    if (choices_[c].place == nowhere) continue;
    const T* const row = rows_.data() + choices_[c].place * channels;
    T* const to = dx + c / options_.top * channels;
    for (std::size_t i = 0; i < channels; ++i) to[i] = to[i] + row[i];
  }
}

template class ExpertParallelMlp<float>;
template class ExpertParallelMlp<double>;

}  // namespace trireme::tensor_parallel
