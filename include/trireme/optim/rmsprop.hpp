// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// Settings of RmsProp.
struct RmsPropOptions {
  double learning_rate = 1e-2;  ///< usually 1e-4 to 1e-2
  double alpha = 0.99;
  double epsilon = 1e-8;  ///< added to the root, outside it
  double momentum = 0.0;
  double l2_penalty = 0.0;    ///< see OptimizerRates
  double weight_decay = 0.0;  ///< decoupled, see OptimizerRates
  bool centered = false;
};

/// RMSProp: s = alpha*s + (1-alpha)*g*g; centered: a = alpha*a + (1-alpha)*g, and s - a*a takes the place of s;
/// d = g / (sqrt(s) + epsilon); with momentum b = momentum*b + d, d = b; p -= learning_rate*d.
/// Source: Hinton, lecture 6e, 2012; centered: Graves 2013 (arXiv 1308.0850). Where rounding makes s - a*a negative, it is 0
///         (PyTorch's is NaN there).
class RmsProp final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit RmsProp(const RmsPropOptions& options);

  std::string_view name() const override { return "rmsprop"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  bool update_on_device(const optim::DeviceUpdates& updates) const override;
  const RmsPropOptions& options() const { return options_; }

 private:
  RmsPropOptions options_;
  std::vector<std::string> state_names_{"square_avg"};
};

}  // namespace trireme
