// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace trireme::device {

/// Frees that are held back while a kernel may be on a device that waits for others (KernelEntry::waits).
///
/// CUDA's frees wait for all that runs on the device. Where the thread that frees is also the one that the kernel's peers
/// wait for, as ranks that are threads on one device can be, neither would ever go on. So such a kernel is followed by an event
/// in its stream, and while one of these has not passed memory is only noted; it is freed at the next free or allocation that
/// finds all of them passed. No such kernel is launched while memory is being freed.
/// Cost:    per such launch an event; no heap from the 2nd on a stream on.
/// Threads: any. A free waits for no launch and for no other thread's free; a launch of such a kernel waits for frees under way.
class HeldFrees {
 public:
  enum class Kind : unsigned char { device, pinned, imported };
  struct Memory {
    Kind kind;
    int device;
    void* address;
  };
  /// `really` frees, and must not throw.
  HeldFrees(Runtime& runtime, std::function<void(const Memory&)> really)
      : runtime_(runtime), really_(std::move(really)) {}
  HeldFrees(const HeldFrees&) = delete;
  HeldFrees& operator=(const HeldFrees&) = delete;

  /// Has `give` give such a kernel, or a graph that may hold some, to the stream, which is not being captured.
  template <class Give>
  void given(Stream stream, const Give& give) {
    const std::shared_lock launching(launching_);
    void* const event = event_behind(stream);
    give();
    runtime_.record(event, stream);
  }
  /// The stream is about to be destroyed: its handle may be another's soon, and what it was given may still run.
  void ends(Stream stream) noexcept;

  /// Now, or later.
  void free(const Memory& memory) noexcept;
  /// Frees what is held back if it can be now. Returns: whether it has.
  bool make() noexcept;
  /// How often what was held back has been freed.
  std::uint64_t rounds() const noexcept { return rounds_.load(std::memory_order_acquire); }
  /// Whether, since there were so many rounds, something has been freed, by whichever thread: waits for it a while. At once
  /// false where nothing is held back or being freed.
  bool make_since(std::uint64_t rounds, std::chrono::milliseconds patience) noexcept;
  /// Frees what is held back: nothing runs any more.
  void end() noexcept;

  /// Those being freed included.
  std::size_t held() const noexcept { return held_count_.load(std::memory_order_relaxed); }

 private:
  struct Behind {
    Stream stream;
    void* event;
    bool ended;  ///< the stream is no more
  };
  void* event_behind(Stream stream);
  bool some_may_run() noexcept;
  /// Ends the lock, of mutex_, before it frees.
  bool free_all(std::unique_lock<std::mutex>& lock) noexcept;

  Runtime& runtime_;
  const std::function<void(const Memory&)> really_;
  std::shared_mutex launching_;  ///< shared by launches; a free has it alone, or does not come to be
  std::mutex mutex_;             ///< of what is below
  std::vector<Behind> behind_;
  std::vector<Memory> memory_;
  std::atomic<std::size_t> held_count_{0};
  std::atomic<std::uint64_t> rounds_{0};
};

}  // namespace trireme::device
