// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// Settings of NAdam.
struct NAdamOptions {
  double learning_rate = 2e-3;  ///< usually 1e-4 to 1e-2
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;         ///< added to the root, outside it
  double momentum_decay = 4e-3;  ///< how fast mu_t nears b1
  double l2_penalty = 0.0;       ///< see OptimizerRates
  double weight_decay = 0.0;     ///< decoupled, see OptimizerRates
};

/// Adam with Nesterov momentum: m, v as Adam; mu_t = b1*(1 - 0.96^(t*momentum_decay)/2), M_t = mu_1*...*mu_t;
/// p -= lr * ((1-mu_t)/(1-M_t) * g + mu_{t+1}/(1-M_{t+1}) * m) / (sqrt(v)/sqrt(1-b2^t) + epsilon).
/// Source: Dozat, ICLR workshop 2016, in the form of PyTorch's NAdam; its product M_t is recomputed, not kept as state.
class NAdam final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit NAdam(const NAdamOptions& options);

  std::string_view name() const override { return "nadam"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  bool update_on_device(const optim::DeviceUpdates& updates) const override;
  const NAdamOptions& options() const { return options_; }

 private:
  struct Steps {
    double gradient, moment;
  };
  Steps steps_of(std::uint64_t step, double learning_rate) const noexcept;
  double momentum_at(std::uint64_t step) const noexcept;
  double product_through(std::uint64_t step) const noexcept;
  double schedule_base_ = 1.0;            // 0.96^momentum_decay
  mutable std::uint64_t known_step_ = 0;  // up to which the product is known: parameters mostly share their steps
  mutable double known_product_ = 1.0;
  NAdamOptions options_;
  std::vector<std::string> state_names_{"exp_avg", "exp_avg_sq"};
};

}  // namespace trireme
