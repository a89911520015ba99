// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace trireme::comm {

/// Where threads sleep whose operations another thread drives. Whoever finishes an operation, or stops driving, wakes
/// them. A wake that comes in the instant in which a thread goes to sleep can be missed, so every sleep is short; in
/// return waking costs one look at a number where nobody sleeps.
class Parking {
 public:
  /// A thread that is about to sleep: between construction and sleep() it looks once more whether it has to.
  class Place {
   public:
    explicit Place(Parking& parking) noexcept : parking_(parking) {
      parking_.parked_.fetch_add(1, std::memory_order_seq_cst);
      seen_ = parking_.turn_.load(std::memory_order_seq_cst);
    }
    ~Place() { parking_.parked_.fetch_sub(1, std::memory_order_relaxed); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    /// Until a wake, `limit` or 2 ms.
    void sleep(std::chrono::nanoseconds limit) noexcept {
      const auto bounded = std::min<std::chrono::nanoseconds>(limit, std::chrono::milliseconds(2));
      if (bounded.count() <= 0) return;
      const timespec time{0, static_cast<long>(bounded.count())};
      parking_.futex(FUTEX_WAIT_PRIVATE, seen_, &time);
    }

   private:
    Parking& parking_;
    std::uint32_t seen_ = 0;
  };

  void wake_all() noexcept { wake(most); }
  void wake_one() noexcept { wake(1); }

 private:
  static constexpr std::uint32_t most = 0x7fffffff;
  void wake(std::uint32_t threads) noexcept {
    if (parked_.load(std::memory_order_relaxed) == 0) return;
    turn_.fetch_add(1, std::memory_order_seq_cst);
    futex(FUTEX_WAKE_PRIVATE, threads, nullptr);
  }
  void futex(int what, std::uint32_t value, const timespec* time) noexcept {
    static_assert(sizeof turn_ == 4 && std::atomic<std::uint32_t>::is_always_lock_free);
    ::syscall(SYS_futex, &turn_, what, value, time, nullptr, 0);
  }
  std::atomic<std::uint32_t> turn_{0};
  std::atomic<int> parked_{0};
};

}  // namespace trireme::comm
