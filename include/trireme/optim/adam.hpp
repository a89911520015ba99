// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// Settings of Adam.
struct AdamOptions {
  double learning_rate = 1e-3;  ///< usually 1e-5 to 1e-2
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;      ///< added to the root, outside it
  double l2_penalty = 0.0;    ///< see OptimizerRates
  double weight_decay = 0.0;  ///< decoupled, see OptimizerRates
};

/// Adam: m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g*g;
/// p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + epsilon).
/// Source: Kingma and Ba, ICLR 2015 (arXiv 1412.6980). PyTorch's weight_decay of Adam is l2_penalty here.
class Adam final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit Adam(const AdamOptions& options);

  std::string_view name() const override { return "adam"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  bool update_on_device(const optim::DeviceUpdates& updates) const override;
  const AdamOptions& options() const { return options_; }

 private:
  AdamOptions options_;
  std::vector<std::string> state_names_{"exp_avg", "exp_avg_sq"};
};

}  // namespace trireme
