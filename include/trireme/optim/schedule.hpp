// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trireme {

/// The course of a learning rate behind its warm-up; x runs from 0 there to 1 at the last step.
enum class ScheduleKind : unsigned char {
  constant,
  linear,  ///< 1 - (1 - final)*x
  cosine,  ///< final + (1 - final)*(1 + cos(pi*x))/2. Loshchilov and Hutter 2017 (arXiv 1608.03983), without restarts
  polynomial,    ///< final + (1 - final)*(1 - x)^power
  step,          ///< decay^k after every k*interval steps
  inverse_sqrt,  ///< sqrt(w/t) with w = warmup_steps, at least 1. Vaswani et al. 2017 (arXiv 1706.03762)
  one_cycle,     ///< half a cosine from `initial` up to 1 for `rise` of all steps, one down to `final` for the rest; no
                 ///< warm-up besides. Smith and Topin 2017 (arXiv 1708.07120), as PyTorch's OneCycleLR
};
inline constexpr int schedule_kind_count = 7;
std::string_view name_of(ScheduleKind kind);

/// What a learning rate is multiplied by at each step. A plain value; the same bits on every processor.
struct Schedule {
  ScheduleKind kind = ScheduleKind::constant;
  std::uint64_t warmup_steps = 0;  ///< the factor rises linearly: t/warmup_steps at step t
  std::uint64_t total_steps = 0;   ///< of linear, cosine, polynomial and one_cycle; behind them the factor stays
  double final_factor = 0.0;       ///< at the last step
  double power = 2.0;              ///< of polynomial: above 0
  std::uint64_t interval = 1000;   ///< of step
  double decay = 0.1;              ///< of step
  double initial_factor = 0.04;    ///< of one_cycle
  double rise = 0.3;               ///< of one_cycle

  /// Errors: invalid_argument naming the setting: total_steps missing or not above the warm-up, factors out of range.
  void check() const;
  /// The factor of step `step`, counted from 1.  Shape: settings that check() accepts.
  double factor(std::uint64_t step) const;
};

/// How a learning rate that suits one global batch is carried over to another.
enum class BatchScaling : unsigned char {
  none,
  linear,       ///< times batch/base. Goyal et al. 2017 (arXiv 1706.02677): with warm-up, for SGD
  square_root,  ///< times sqrt(batch/base). Krizhevsky 2014 (arXiv 1404.5997); usual for Adam and LAMB
};
/// Errors: invalid_argument when base_batch is 0.
double scaled_learning_rate(double learning_rate, BatchScaling scaling, std::size_t batch, std::size_t base_batch);

}  // namespace trireme
