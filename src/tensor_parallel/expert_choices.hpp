// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/expert_mlp.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace trireme::tensor_parallel {

/// One expert that a token goes to.
template <class T>
struct ExpertChoice {
  static constexpr std::size_t nowhere = ~std::size_t{0};
  std::uint32_t expert = 0;
  T gate{};
  std::size_t place = nowhere;  ///< row among those sent; nowhere: dropped
};

/// Which experts this rank's tokens go to, and where among the rows that are sent, which stand by expert, within one in the order in
/// which choices are made: first choices of all tokens, then second ones.
template <class T>
struct ExpertChoices {
  std::vector<T> probabilities;          ///< tokens x experts
  std::vector<ExpertChoice<T>> choices;  ///< tokens x top
  std::vector<std::uint64_t> rows;       ///< sent to each expert
  std::size_t dropped = 0;
  std::vector<double> load;  ///< share of all ranks' choices per expert; then sums of probabilities; then all tokens

  /// p = softmax(R x), the `top` greatest of each token, their gates and places.
  void route(Axis& axis, const ExpertMlpOptions& options, const T* x, std::size_t tokens, const T* router);
  /// The load-balancing loss; fills `load`. Collective.
  double balance_loss(Axis& axis, const ExpertMlpOptions& options, std::string_view label);
  /// The derivative by the router's logits, from that by the gates and that of the load-balancing loss times balance_weight:
  /// dz = p (dp - sum of p dp).
  std::vector<T> logit_gradients(const ExpertMlpOptions& options, const std::vector<T>& gate_gradients,
                                 double balance_weight) const;

 private:
  void choose(const ExpertMlpOptions& options, std::size_t token);
  void assign_places(const ExpertMlpOptions& options, std::size_t tokens);
};

extern template struct ExpertChoices<float>;
extern template struct ExpertChoices<double>;

}  // namespace trireme::tensor_parallel
