// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

namespace trireme {

/// A moment on the steady clock by which something must have happened. `Deadline::never()` has to be written out.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  static Deadline after(std::chrono::nanoseconds duration) { return Deadline(Clock::now() + duration); }
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
