// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme {

/// Settings of LossScaler.
struct LossScalerOptions {
  double initial = 65536.0;  ///< a power of two: scaling then changes no bit but where something over- or underflows
  double growth = 2.0;       ///< after `interval` finite steps in a row; above 1
  double backoff = 0.5;      ///< after a step that was not finite; below 1
  std::uint64_t interval = 2000;  ///< 0: the scale never grows
  double least = 1.0;
  double most = 16777216.0;
};

/// What losses are multiplied by before backward, so that gradients of 16 bits do not vanish: as large as lets them stay
/// finite. One per training, alike on all ranks: whether a step was finite is the same everywhere, for an infinity or NaN
/// of one rank is in every rank's sum.
/// Source: Micikevicius et al., ICLR 2018 (arXiv 1710.03740); the defaults of PyTorch's GradScaler.
class LossScaler {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit LossScaler(const LossScalerOptions& options = {});

  double scale() const { return state_.scale; }
  /// What a step's gradients were.
  void update(bool finite);

  /// For checkpoints.
  struct State {
    double scale = 1.0;
    std::uint64_t finite_steps = 0;  ///< in a row, since the scale changed
    std::uint64_t skipped = 0;       ///< steps that were not finite
  };
  const State& state() const { return state_; }
  /// Errors: invalid_argument unless the scale is finite and above 0.
  void restore(const State& state);

 private:
  LossScalerOptions options_;
  State state_;
};

}  // namespace trireme
