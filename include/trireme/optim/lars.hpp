// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// Settings of Lars.
struct LarsOptions {
  double learning_rate = 0.1;  ///< usually 0.1 to 10, for large batches
  double momentum = 0.9;
  double trust = 1e-3;
  double epsilon = 1e-8;
  double l2_penalty = 0.0;    ///< see OptimizerRates
  double weight_decay = 0.0;  ///< in the direction, see above
  bool nesterov = false;
};

/// LARS: layer-wise adaptive rates for momentum SGD. With the norms of the whole tensor,
/// s = trust*|p| / (|g| + weight_decay*|p| + epsilon), 1 where |p| or |g| is 0; b = momentum*b + s*(g + weight_decay*p)
/// (b as that at first); p -= lr * (nesterov ? s*(g + weight_decay*p) + momentum*b : b).
/// Scope: sums. Source: You, Gitman, Ginsburg 2017 (arXiv 1708.03888); the rate multiplies the buffer, as in Sgd.
class Lars final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit Lars(const LarsOptions& options);

  std::string_view name() const override { return "lars"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  UpdateScope scope() const override { return UpdateScope::sums; }
  std::size_t sums() const override { return 2; }
  void measure(const SpanUpdate& update, const OptimizerRates& rates,
               std::span<double> block_sums) const noexcept override;
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  bool update_on_device(const optim::DeviceUpdates& updates) const override;
  const LarsOptions& options() const { return options_; }

 private:
  LarsOptions options_;
  std::vector<std::string> state_names_;
};

}  // namespace trireme
