// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// Settings of Adagrad.
struct AdagradOptions {
  double learning_rate = 1e-2;  ///< usually 1e-3 to 1e-1
  double rate_decay = 0.0;
  double initial_accumulator = 0.0;  ///< s before the first step
  double epsilon = 1e-10;            ///< added to the root, outside it
  double l2_penalty = 0.0;           ///< see OptimizerRates
  double weight_decay = 0.0;         ///< decoupled, see OptimizerRates
};

/// Adagrad: s += g*g; p -= lr/(1 + (t-1)*rate_decay) * g / (sqrt(s) + epsilon).
/// Source: Duchi, Hazan, Singer, JMLR 2011; rate_decay as PyTorch's lr_decay.
class Adagrad final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit Adagrad(const AdagradOptions& options);

  std::string_view name() const override { return "adagrad"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  bool update_on_device(const optim::DeviceUpdates& updates) const override;
  const AdagradOptions& options() const { return options_; }

 private:
  AdagradOptions options_;
  std::vector<std::string> state_names_{"sum"};
};

}  // namespace trireme
