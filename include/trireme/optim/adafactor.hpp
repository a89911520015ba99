// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// Settings of Adafactor.
struct AdafactorOptions {
  double learning_rate = 1e-2;  ///< the relative step's upper bound
  double decay_exponent = 0.8;  ///< of the second moment: b2 = 1 - t^-decay_exponent
  double epsilon1 = 1e-30;      ///< added to squares
  double epsilon2 = 1e-3;       ///< least scale of a parameter
  double clip = 1.0;            ///< greatest root mean square of the direction
  double l2_penalty = 0.0;      ///< see OptimizerRates
  double weight_decay = 0.0;    ///< decoupled, see OptimizerRates
};

/// Adafactor: the second moment of a matrix as a product of rows and columns. With b2 = 1 - t^-decay_exponent:
///   R_i = b2*R_i + (1-b2)*(mean over j of g_ij^2 + epsilon1), C_j likewise over i, V_ij = R_i*C_j / mean(R); of vectors
///   V = b2*V + (1-b2)*(g^2 + epsilon1); U = g/sqrt(V);
///   p -= max(epsilon2, rms(p)) * min(lr, 1/sqrt(t)) * U / max(1, rms(U)/clip).
/// Scope: tensor. State of an n x m matrix: n + m elements.
/// Order: means and roots of mean squares by the rule of blocks and lanes (numerical contract), those of a column over its
///        elements from the first row to the last.
/// Source: Shazeer and Stern, ICML 2018 (arXiv 1804.04235), algorithms 4 to 6, without first moment; the relative step as
///         PyTorch's Adafactor has it.
class Adafactor final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit Adafactor(const AdafactorOptions& options);

  std::string_view name() const override { return "adafactor"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  std::size_t state_count(std::size_t state, const TensorShape& shape) const override;
  UpdateScope scope() const override { return UpdateScope::tensor; }
  void prepare(const TensorShape& shape) override;
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  const AdafactorOptions& options() const { return options_; }

 private:
  template <class T>
  void update_as(const SpanUpdate& update, const OptimizerRates& rates) const noexcept;

  AdafactorOptions options_;
  std::vector<std::string> state_names_{"exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_sq"};
  mutable std::vector<double> scratch_;  // of update(): as large as the largest tensor needs
};

}  // namespace trireme
