// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <sched.h>

namespace trireme::comm {

/// Who drives the world: one thread at a time. Not a mutex: nobody sleeps on it in the kernel; a thread that wants it
/// while the holder sleeps for the network wakes the holder (`wake`) and yields.
class ProgressLock {
 public:
  bool try_lock() noexcept { return !held_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }
  template <class Wake>
  void lock(Wake wake) noexcept {
    while (!try_lock()) {
      wake();
      while (held_.load(std::memory_order_relaxed)) ::sched_yield();
    }
  }

 private:
  std::atomic<bool> held_{false};
};

}  // namespace trireme::comm
