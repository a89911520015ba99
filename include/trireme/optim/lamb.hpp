// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

#include <limits>

namespace trireme {

/// Settings of Lamb.
struct LambOptions {
  double learning_rate = 1e-3;  ///< usually 1e-4 to 2e-2, for large batches
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-6;      ///< added to the root, outside it
  double l2_penalty = 0.0;    ///< see OptimizerRates
  double weight_decay = 0.0;  ///< in the direction, see above
  double max_trust = std::numeric_limits<double>::infinity();
};

/// LAMB: m, v as Adam; u = m/(1-b1^t) / (sqrt(v)/sqrt(1-b2^t) + epsilon) + weight_decay*p;
/// p -= lr * r * u with the trust ratio r = |p|/|u| of the whole tensor, 1 where either norm is 0, at most max_trust.
/// Scope: sums. Source: You et al., ICLR 2020 (arXiv 1904.00962): the decay is part of the direction, so its length is
///         scaled like the rest; max_trust is phi's upper bound (10 there), infinite by default as in later practice.
class Lamb final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit Lamb(const LambOptions& options);

  std::string_view name() const override { return "lamb"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  UpdateScope scope() const override { return UpdateScope::sums; }
  std::size_t sums() const override { return 2; }
  void measure(const SpanUpdate& update, const OptimizerRates& rates,
               std::span<double> block_sums) const noexcept override;
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  bool update_on_device(const optim::DeviceUpdates& updates) const override;
  const LambOptions& options() const { return options_; }

 private:
  LambOptions options_;
  std::vector<std::string> state_names_{"exp_avg", "exp_avg_sq"};
};

}  // namespace trireme
