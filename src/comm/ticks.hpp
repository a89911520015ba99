// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace trireme::comm {

/// A moment by the processor's own count of time: a third of what a look at the clock costs, and that is a tenth of the
/// fastest operation. For what is told afterwards; deadlines go by the clock.
inline std::int64_t ticks() noexcept {
#if defined(__x86_64__)
  return static_cast<std::int64_t>(__rdtsc());
#else
  return std::chrono::steady_clock::now().time_since_epoch().count();
#endif
}

/// What ticks are in nanoseconds of the steady clock: a straight line. By itself: one tick is one nanosecond.
struct TickReading {
  std::int64_t first_tick = 0;
  std::int64_t first_ns = 0;
  double ns_per_tick = 1.0;

  std::int64_t nanoseconds(std::int64_t moment) const noexcept {
    return first_ns + static_cast<std::int64_t>(static_cast<double>(moment - first_tick) * ns_per_tick);
  }
};

/// Finds the line by two looks at both clocks: the first when made, the second when asked. Right to about the time of
/// a look, however fast the processor counts, as long as it counts evenly.
class TickScale {
 public:
  TickScale() noexcept : first_tick_(ticks()), first_ns_(clock_ns()) {}

  TickReading read() const noexcept {
    const std::int64_t passed_ns = clock_ns() - first_ns_;
    const std::int64_t passed = ticks() - first_tick_;
    const double rate = passed > 0 ? static_cast<double>(passed_ns) / static_cast<double>(passed) : 1.0;
    return {first_tick_, first_ns_, rate};
  }

 private:
  static std::int64_t clock_ns() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  std::int64_t first_tick_;
  std::int64_t first_ns_;
};

}  // namespace trireme::comm
