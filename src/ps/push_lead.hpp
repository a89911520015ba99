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
/// Workers whose gradients come in different orders could wait for each other's: where nothing is done for `patience` the limit
/// doubles; it is halved every `memory` until it is what it was.
/// Threads: one.
class PushLead {
 public:
  using Clock = Deadline::Clock;
  static constexpr std::chrono::milliseconds patience{250};
  static constexpr std::chrono::seconds memory{10};

  explicit PushLead(std::uint64_t bytes) : least_(bytes), bytes_(bytes) {}

  /// Whether a push of `bytes` may begin while `under_way` are.
  bool admits(std::uint64_t under_way, std::uint64_t bytes) const {
    return under_way == 0 || under_way + bytes <= bytes_;
  }
  /// Nothing waits for the limit.
  void is_open() { blocked_since_.reset(); }
  /// A push is done.
  void moves(Clock::time_point now) {
    if (blocked_since_) blocked_since_ = now;
  }
  /// A push waits for the limit. True: it has grown.
  bool is_blocked(Clock::time_point now) {
    if (!blocked_since_) {
      blocked_since_ = now;
      if (bytes_ > least_ && now - changed_ >= memory) {
        bytes_ = std::max(least_, bytes_ / 2);
        changed_ = now;
      }
    }
    if (now - *blocked_since_ < patience) return false;
    bytes_ = std::min(bytes_, most) * 2;
    blocked_since_ = changed_ = now;
    return true;
  }
  /// When is_blocked() is to be asked again; nothing while nothing waits.
  std::optional<Clock::time_point> look_again_at() const {
    if (!blocked_since_) return std::nullopt;
    return *blocked_since_ + patience;
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  static constexpr std::uint64_t most = std::uint64_t{1} << 62;
  std::uint64_t least_, bytes_;
  std::optional<Clock::time_point> blocked_since_;
  Clock::time_point changed_{};
};

}  // namespace trireme::ps
