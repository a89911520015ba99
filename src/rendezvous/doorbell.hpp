// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstdint>

#include <sys/eventfd.h>
#include <unistd.h>

namespace trireme::rendezvous {

/// Wakes a thread that sleeps in poll or epoll.
class Doorbell {
 public:
  Doorbell() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (descriptor_ < 0) fail_system("eventfd", errno);
  }
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;
  ~Doorbell() { ::close(descriptor_); }

  int descriptor() const { return descriptor_; }
  void ring() noexcept {
    // Fails only when the counter is full, and then it rings already.
    std::uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(descriptor_, &one, sizeof one);
  }
  void answer() noexcept {
    std::uint64_t rings = 0;
    [[maybe_unused]] ssize_t got = ::read(descriptor_, &rings, sizeof rings);
  }

 private:
  int descriptor_;
};

}  // namespace trireme::rendezvous
