// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace trireme::net {

class Socket;

/// Tells a host that is gone from a process that does not read, on a TCP connection with data under way: the kernel of a
/// stopped process still answers every probe, a dead host or a cut link answers nothing.
/// Threads: one at a time.  Cost: a system call.
class SilenceWatch {
 public:
  explicit SilenceWatch(std::chrono::milliseconds limit = std::chrono::seconds(5)) : limit_(limit) {}

  /// Whether the peer's host has answered nothing for the limit, though it was sent something three times since.
  /// Call it now and then: what it can say of the time between two calls is little, and then it says false.
  bool is_silent(const Socket& socket) noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  std::chrono::milliseconds limit_;
  Clock::time_point looked_{};
  unsigned retransmitted_ = 0;  // in all, when the peer was last heard
};

}  // namespace trireme::net
