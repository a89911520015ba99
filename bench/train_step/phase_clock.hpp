// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <time.h>

namespace trireme::bench {

/// What a step spends its time on, in the order in which it does.
enum class Phase : std::size_t {
  gather,    ///< copying the samples into a batch
  compute,   ///< forward and backward
  announce,  ///< Shard::ready(): folding gradients, starting and moving reductions under backward
  reduce,    ///< Step::reduce() and the end of the shard: what is left of the reductions, waiting for others included
  apply,     ///< the optimizer
  rest,      ///< the loop itself
};

inline constexpr std::array<std::string_view, 6> phase_names{"gather", "compute", "announce",
                                                             "reduce", "apply",   "rest"};

/// Adds up time by phase, by the wall clock and by the processor time of the calling thread; the second hardly depends
/// on what else the machine does, but waiting that spins counts in it. Off, it reads no clock.
class PhaseClock {
 public:
  using Seconds = std::array<double, phase_names.size()>;

  explicit PhaseClock(bool on) : on_(on) {}
  /// Forgets everything: the first lap begins now.
  void start() {
    wall_ = processor_ = {};
    skip();
  }
  /// What has passed since the last lap was spent on `phase`.
  void lap(Phase phase) {
    if (!on_) return;
    const double wall_before = last_wall_;
    const double processor_before = last_processor_;
    skip();
    wall_[static_cast<std::size_t>(phase)] += last_wall_ - wall_before;
    processor_[static_cast<std::size_t>(phase)] += last_processor_ - processor_before;
  }
  /// Time that belongs to nothing has passed.
  void skip() {
    if (!on_) return;
    last_wall_ = read(CLOCK_MONOTONIC);
    last_processor_ = read(CLOCK_THREAD_CPUTIME_ID);
  }
  bool on() const { return on_; }
  /// In the order of phase_names.
  const Seconds& wall() const { return wall_; }
  const Seconds& processor() const { return processor_; }

 private:
  static double read(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  bool on_;
  double last_wall_ = 0.0;
  double last_processor_ = 0.0;
  Seconds wall_{};
  Seconds processor_{};
};

}  // namespace trireme::bench
