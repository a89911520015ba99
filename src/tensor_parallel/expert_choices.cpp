// SPDX-License-Identifier: Apache-2.0
#include "tensor_parallel/expert_choices.hpp"

#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy.hpp"
#include "tensor_parallel/product.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace trireme::tensor_parallel {

/// The `top` greatest probabilities of a token, the first of equals.
template <class T>
void ExpertChoices<T>::choose(const ExpertMlpOptions& options, std::size_t token) {
  const T* const p = probabilities.data() + token * options.experts;
  ExpertChoice<T>* const chosen = choices.data() + token * options.top;
  T total{0};
  for (std::size_t k = 0; k < options.top; ++k) {
    const auto taken = [&](std::size_t e) {
      return std::any_of(chosen, chosen + k, [e](const ExpertChoice<T>& before) { return before.expert == e; });
    };
    std::size_t best = options.experts;
    for (std::size_t e = 0; e < options.experts; ++e)
      if (!taken(e) && (best == options.experts || p[e] > p[best])) best = e;
    chosen[k] = {.expert = static_cast<std::uint32_t>(best), .gate = p[best]};
    total = total + p[best];
  }
  if (!options.renormalise) return;
  for (std::size_t k = 0; k < options.top; ++k) chosen[k].gate = chosen[k].gate / total;
}

template <class T>
void ExpertChoices<T>::route(Axis& axis, const ExpertMlpOptions& options, const T* x, std::size_t tokens,
                             const T* router) {
  const std::size_t experts = options.experts;
  probabilities.resize(tokens * experts);
  choices.assign(tokens * options.top, {});
  product(axis, Form::plain, Form::transposed, tokens, experts, options.channels, x, router, probabilities.data());
  std::vector<T> greatest(tokens);
  std::vector<double> sums(tokens);
  kernels::row_maxima(greatest.data(), probabilities.data(), tokens, experts);
  kernels::row_exponentials(probabilities.data(), sums.data(), greatest.data(), tokens, experts);
  for (double& each : sums) each = 1.0 / each;
  kernels::scale_rows(probabilities.data(), sums.data(), tokens, experts);
  for (std::size_t token = 0; token < tokens; ++token) choose(options, token);
  assign_places(options, tokens);
}

template <class T>
void ExpertChoices<T>::assign_places(const ExpertMlpOptions& options, std::size_t tokens) {
  auto limit = ~std::uint64_t{0};
  if (options.capacity_factor > 0) {
    const double share =
        static_cast<double>(options.top) * static_cast<double>(tokens) / static_cast<double>(options.experts);
    // No expert gets a token twice: what is above the tokens is no limit.
    limit =
        static_cast<std::uint64_t>(std::min(std::ceil(options.capacity_factor * share), static_cast<double>(tokens)));
  }
  rows.assign(options.experts, 0);
  dropped = 0;
  for (std::size_t k = 0; k < options.top; ++k) {
    for (std::size_t token = 0; token < tokens; ++token) {
      ExpertChoice<T>& choice = choices[token * options.top + k];
      std::uint64_t& count = rows[choice.expert];
      choice.place = count < limit ? static_cast<std::size_t>(count++) : choice.nowhere;
      dropped += choice.place == choice.nowhere;
    }
  }
  std::vector<std::size_t> begin(options.experts);
  std::exclusive_scan(rows.begin(), rows.end(), begin.begin(), std::size_t{0});
  for (ExpertChoice<T>& choice : choices)
    if (choice.place != choice.nowhere) choice.place += begin[choice.expert];
}

template <class T>
double ExpertChoices<T>::balance_loss(Axis& axis, const ExpertMlpOptions& options, std::string_view label) {
  const std::size_t experts = options.experts, tokens = choices.size() / options.top;
  load.assign(2 * experts + 1, 0.0);
  for (const ExpertChoice<T>& choice : choices) load[choice.expert] += 1.0;
  for (std::size_t token = 0; token < tokens; ++token)
    for (std::size_t e = 0; e < experts; ++e)
      load[experts + e] += static_cast<double>(probabilities[token * experts + e]);
  load[2 * experts] = static_cast<double>(tokens);
  if (axis.size() > 1) {
    Communicator communicator = axis.communicator();
    communicator.all_reduce(std::span<double>(load), sum, axis.call(label));
  }
  const double all = load[2 * experts];
  if (all == 0) return 0.0;
  double loss = 0;
  for (std::size_t e = 0; e < experts; ++e) {
    load[e] /= all * static_cast<double>(options.top);
    loss += load[e] * (load[experts + e] / all);
  }
  return options.balance * static_cast<double>(experts) * loss;
}

template <class T>
std::vector<T> ExpertChoices<T>::logit_gradients(const ExpertMlpOptions& options, const std::vector<T>& gate_gradients,
                                                 double balance_weight) const {
  const std::size_t experts = options.experts, tokens = choices.size() / options.top;
  const double all = load.empty() ? 0.0 : load.back();
  const double balance =
      options.balance > 0 && all > 0 ? balance_weight * options.balance * static_cast<double>(experts) / all : 0.0;
  std::vector<T> result(tokens * experts);
  std::vector<double> dp(experts);
  for (std::size_t token = 0; token < tokens; ++token) {
    const T* const p = probabilities.data() + token * experts;
    const ExpertChoice<T>* const chosen = choices.data() + token * options.top;
    const T* const dgate = gate_gradients.data() + token * options.top;
    for (std::size_t e = 0; e < experts; ++e) dp[e] = balance != 0.0 ? balance * load[e] : 0.0;
    double total = 1.0, mean = 0.0;
    if (options.renormalise) {
      total = 0.0;
      for (std::size_t k = 0; k < options.top; ++k) {
        total += static_cast<double>(p[chosen[k].expert]);
        mean += static_cast<double>(dgate[k]) * static_cast<double>(chosen[k].gate);
      }
    }
    for (std::size_t k = 0; k < options.top; ++k)
      dp[chosen[k].expert] += (static_cast<double>(dgate[k]) - mean) / total;
    double dot = 0;
    for (std::size_t e = 0; e < experts; ++e) dot += static_cast<double>(p[e]) * dp[e];
    for (std::size_t e = 0; e < experts; ++e)
      result[token * experts + e] = static_cast<T>(static_cast<double>(p[e]) * (dp[e] - dot));
  }
  return result;
}

template struct ExpertChoices<float>;
template struct ExpertChoices<double>;

}  // namespace trireme::tensor_parallel
