// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace trireme::ps {

/// How many bytes of pushes a worker has under way at once, to all servers together: the most urgent first, in one order over all of
/// them. Without a limit each connection takes an equal part of the worker's link, a server that holds more than others gets its
/// last keys when the others are long done, and a worker that got more of a link than others runs ahead of sums that wait for those.
/// (The credit of BytePS's scheduler: Peng et al., SOSP 2019.)
///
/// What is under way is what a sum comes back behind its push, so that the last sum of a step comes later by lead / rate: the lead is
/// what was done lately in `span`, within given bounds. Fast networks need more of it than slow ones, and lose less by it.
///
/// Workers whose gradients come in different orders could wait for each other's: where nothing is done for `patience` the limit
/// doubles; it is halved every `memory` until it is what it was.
/// Threads: one.
class PushLead {
 public:
  using Clock = Deadline::Clock;
  static constexpr std::chrono::milliseconds span{5};
  static constexpr std::chrono::milliseconds patience{250};
  static constexpr std::chrono::seconds memory{10};

  /// At least `least` bytes, and for the sake of speed no more than `most`.
  PushLead(std::uint64_t least, std::uint64_t most) : least_(least), most_(std::max(least, most)), lead_(least) {}

  /// Whether a push of `bytes` may begin while `under_way` are.
  bool admits(std::uint64_t under_way, std::uint64_t bytes) const {
    return under_way == 0 || under_way + bytes <= this->bytes();
  }
  /// Nothing waits for the limit.
  void is_open() { blocked_since_.reset(); }
  /// A push of so many bytes is done.
  void done(std::uint64_t bytes, Clock::time_point now) {
    if (blocked_since_) blocked_since_ = now;
    done_ += bytes;
    const auto passed = now - counted_since_;
    if (passed < span) return;
    const double in_span = static_cast<double>(done_) * (std::chrono::duration<double>(span) / passed);
    lead_ = std::clamp(static_cast<std::uint64_t>(in_span), least_, most_);
    done_ = 0;
    counted_since_ = now;
  }
  /// A push waits for the limit. True: it has grown.
  bool is_blocked(Clock::time_point now) {
    if (!blocked_since_) {
      blocked_since_ = now;
      if (doublings_ > 0 && now - changed_ >= memory) {
        --doublings_;
        changed_ = now;
      }
    }
    if (now - *blocked_since_ < patience) return false;
    doublings_ = std::min(doublings_ + 1, most_doublings);
    blocked_since_ = changed_ = now;
    return true;
  }
  /// When is_blocked() is to be asked again; nothing while nothing waits.
  std::optional<Clock::time_point> look_again_at() const {
    if (!blocked_since_) return std::nullopt;
    return *blocked_since_ + patience;
  }
  std::uint64_t bytes() const { return lead_ > (most_bytes >> doublings_) ? most_bytes : lead_ << doublings_; }

 private:
  static constexpr std::uint64_t most_bytes = std::uint64_t{1} << 63;
  static constexpr int most_doublings = 62;
  std::uint64_t least_, most_, lead_;
  int doublings_ = 0;
  std::uint64_t done_ = 0;  ///< bytes since then
  Clock::time_point counted_since_{};
  std::optional<Clock::time_point> blocked_since_;
  Clock::time_point changed_{};
};

}  // namespace trireme::ps
