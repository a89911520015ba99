// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// Settings of Lion.
struct LionOptions {
  double learning_rate = 1e-4;  ///< usually 1e-5 to 1e-3
  double beta1 = 0.9;
  double beta2 = 0.99;
  double l2_penalty = 0.0;    ///< see OptimizerRates
  double weight_decay = 0.0;  ///< decoupled, see OptimizerRates
};

/// Lion: p -= lr * sign(b1*m + (1-b1)*g); m = b2*m + (1-b2)*g. Every element moves by the learning rate.
/// Source: Chen et al. 2023 (arXiv 2302.06675): rates 3 to 10 times smaller and decays as much larger than AdamW's.
class Lion final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit Lion(const LionOptions& options);

  std::string_view name() const override { return "lion"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  bool update_on_device(const optim::DeviceUpdates& updates) const override;
  const LionOptions& options() const { return options_; }

 private:
  LionOptions options_;
  std::vector<std::string> state_names_{"exp_avg"};
};

}  // namespace trireme
