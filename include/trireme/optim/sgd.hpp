// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// Settings of Sgd.
struct SgdOptions {
  double learning_rate = 1e-2;  ///< usually 1e-3 to 1
  double momentum = 0.0;        ///< usually 0.9; 0: none
  double dampening = 0.0;       ///< of the gradient that enters the momentum buffer
  double l2_penalty = 0.0;      ///< see OptimizerRates
  double weight_decay = 0.0;    ///< decoupled, see OptimizerRates
  bool nesterov = false;        ///< needs momentum > 0 and dampening 0
};

/// Stochastic gradient descent: b = momentum*b + (1 - dampening)*g (b = g at first);
/// p -= learning_rate * (nesterov ? g + momentum*b : b).
/// Source: Sutskever, Martens, Dahl, Hinton, ICML 2013, in the form of PyTorch's SGD (the learning rate multiplies the
///         buffer, it is not accumulated in it). PyTorch's weight_decay is l2_penalty here.
class Sgd final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit Sgd(const SgdOptions& options);

  std::string_view name() const override { return "sgd"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  bool update_on_device(const optim::DeviceUpdates& updates) const override;
  const SgdOptions& options() const { return options_; }

 private:
  SgdOptions options_;
  std::vector<std::string> state_names_;
};

}  // namespace trireme
