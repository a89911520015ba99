// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/adamw.hpp"
#include "trireme/optim/optimizer.hpp"

namespace trireme {

/// How Muon's step of an n x m matrix is scaled.
enum class MuonScale : unsigned char {
  original,    ///< sqrt(max(1, n/m)): Jordan et al. 2024
  match_adamw  ///< 0.2*sqrt(max(n, m)): the root mean square of AdamW's steps. Liu et al. 2025 (arXiv 2502.16982)
};

/// Settings of Muon.
struct MuonOptions {
  double learning_rate = 2e-2;  ///< usually 1e-3 to 5e-2
  double momentum = 0.95;
  bool nesterov = true;
  int iterations = 5;         ///< of Newton and Schulz, at least 1
  double epsilon = 1e-7;      ///< added to the norm that the direction is divided by
  double l2_penalty = 0.0;    ///< see OptimizerRates
  double weight_decay = 0.0;  ///< decoupled, see OptimizerRates
  MuonScale scale = MuonScale::original;
  /// Parameters that are not matrices, and those named here (as in ParameterGroup; usually embeddings and the head), are
  /// updated by AdamW with these settings; its rate follows the schedule in proportion.
  std::vector<std::string> by_adamw{};
  AdamWOptions adamw{.learning_rate = 3e-4};
};

/// Muon: momentum, made orthogonal. b = momentum*b + (1-momentum)*g; d = nesterov ? momentum*b + (1-momentum)*g : b;
/// X = d/(|d| + epsilon); `iterations` times A = X X^T, X = 3.4445*X + (-4.7750*A + 2.0315*A^2) X, of more rows than columns
/// with A = X^T X behind X, which is the same; p -= lr * scale * X: all singular values near 1.
/// Scope: tensor. Cost: iterations * (4*n*n*m + 2*n*n*n) operations for n <= m, by kernels/gemm: the same bits on every
///        processor.
/// Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon), in the form of PyTorch's Muon.
class Muon final : public Optimizer {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit Muon(const MuonOptions& options);

  std::string_view name() const override { return "muon"; }
  const std::vector<std::string>& state_names() const override { return state_names_; }
  std::size_t state_count(std::size_t state, const TensorShape& shape) const override;
  UpdateScope scope() const override { return UpdateScope::tensor; }
  TensorShape shape_for(std::string_view parameter, const TensorShape& shape) const override;
  void prepare(const TensorShape& shape) override;
  void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept override;
  const MuonOptions& options() const { return options_; }

 private:
  template <class T>
  void update_matrix(const SpanUpdate& update, const OptimizerRates& rates) const noexcept;

  MuonOptions options_;
  AdamW adamw_;
  ParameterGroup by_adamw_;
  std::vector<std::string> state_names_{"momentum_buffer", "exp_avg", "exp_avg_sq"};
  mutable std::vector<double> scratch_;  // of update(): as large as the largest tensor needs
  struct alignas(64) Line {
    char bytes[64];
  };
  mutable std::vector<Line> workspace_;  // of its products
};

}  // namespace trireme
