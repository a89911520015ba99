// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <ratio>
#include <type_traits>

namespace trireme {

/// `duration` in nanoseconds, as a time to wait: negative ones are 0, and what does not fit (292 years) is the longest.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds nanoseconds_to_wait(std::chrono::duration<Rep, Period> duration) {
  using Wide = std::chrono::duration<std::common_type_t<Rep, std::chrono::nanoseconds::rep>, Period>;
  if (duration <= duration.zero()) return std::chrono::nanoseconds::zero();
  if constexpr (std::ratio_greater_equal_v<Period, std::nano>) {
    if (!(Wide(duration) < std::chrono::duration_cast<Wide>(std::chrono::nanoseconds::max())))
      return std::chrono::nanoseconds::max();
  }
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration);
}

/// A moment on the steady clock by which something must have happened. `Deadline::never()` has to be written out.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  /// A duration past the clock's end is never; a negative one is now.
  template <class Rep, class Period>
  static Deadline after(std::chrono::duration<Rep, Period> duration) {
    const auto now = Clock::now();
    const auto wait = nanoseconds_to_wait(duration);
    return wait < Clock::time_point::max() - now ? Deadline(now + wait) : never();
  }
  static constexpr Deadline at(Clock::time_point moment) { return Deadline(moment); }
  static constexpr Deadline never() { return Deadline(Clock::time_point::max()); }

  bool is_never() const { return moment_ == Clock::time_point::max(); }
  bool passed() const { return !is_never() && Clock::now() >= moment_; }
  Clock::time_point moment() const { return moment_; }

  /// Time left in milliseconds, rounded up, at least 0 and at most `limit`: what poll(2) and epoll_wait(2) take.
  int milliseconds_left(int limit = 1000) const {
    if (is_never()) return limit;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(moment_ - Clock::now()).count();
    return static_cast<int>(std::clamp<long long>(left, 0, limit));
  }

 private:
  constexpr explicit Deadline(Clock::time_point moment) : moment_(moment) {}
  Clock::time_point moment_;
};

}  // namespace trireme
