// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// Settings of Adadelta.
struct AdadeltaOptions {
  double learning_rate = 1.0;  ///< usually 0.1 to 1
  double rho = 0.9;
  double epsilon = 1e-6;      ///< inside both roots
  double l2_penalty = 0.0;    ///< see OptimizerRates
  double weight_decay = 0.0;  ///< decoupled, see OptimizerRates
};

/// Adadelta: s = rho*s + (1-rho)*g*g; d = sqrt(a + epsilon)/sqrt(s + epsilon) * g; a = rho*a + (1-rho)*d*d; p -= lr*d.
/// Source: Zeiler 2012 (arXiv 1212.5701), where the learning rate is 1.
class Adadelta final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit Adadelta(const AdadeltaOptions& options);

  std::string_view name() const override { return "adadelta"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  bool update_on_device(const optim::DeviceUpdates& updates) const override;
  const AdadeltaOptions& options() const { return options_; }

 private:
  AdadeltaOptions options_;
  std::vector<std::string> state_names_{"square_avg", "acc_delta"};
};

}  // namespace trireme
