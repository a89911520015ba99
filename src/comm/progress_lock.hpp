// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include <sched.h>

namespace trireme::comm {

/// Who drives the world: one thread at a time. Not a mutex: nobody sleeps on it in the kernel; a thread that wants it
/// while the holder sleeps for the network wakes the holder (`wake`) and yields.
/// Who drives in a loop gives way: it neither sleeps nor takes the lock again while wanted(), or, being already on a
/// core, it would win every time and the other would wait for ever.
class ProgressLock {
 public:
  bool try_lock() noexcept { return !held_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }
  bool taken() const noexcept { return held_.load(std::memory_order_seq_cst); }
  bool wanted() const noexcept { return wanted_.load(std::memory_order_seq_cst) != 0; }
  template <class Wake>
  void lock(Wake wake) noexcept {
    if (try_lock()) return;
    wanted_.fetch_add(1, std::memory_order_seq_cst);
    while (!try_lock()) {
      wake();
      ::sched_yield();
    }
    wanted_.fetch_sub(1, std::memory_order_seq_cst);
  }

 private:
  std::atomic<bool> held_{false};
  std::atomic<int> wanted_{0};
};

}  // namespace trireme::comm
