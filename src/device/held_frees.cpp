// SPDX-License-Identifier: Apache-2.0
#include "device/held_frees.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <new>
#include <thread>
#include <utility>

namespace trireme::device {

void* HeldFrees::event_behind(Stream stream) {
  const std::lock_guard lock(mutex_);
  for (const Behind& each : behind_) {
    if (!each.ended && each.stream.pointer == stream.pointer && each.stream.device == stream.device) return each.event;
  }
  behind_.reserve(behind_.size() + 1);
  void* const event = runtime_.make_event(stream.device.index);
  behind_.push_back({stream, event, false});
  return event;
}

void HeldFrees::ends(Stream stream) noexcept {
  const std::lock_guard lock(mutex_);
  for (Behind& each : behind_) {
    if (each.stream.pointer == stream.pointer && each.stream.device == stream.device) each.ended = true;
  }
}

/// Under both locks. On a device that has failed nothing runs.
bool HeldFrees::some_may_run() noexcept {
  bool some = false;
  for (auto each = behind_.begin(); each != behind_.end();) {
    bool passed = true;
    try {
      passed = runtime_.passed(each->event);
    } catch (const Exception&) {
    }
    some = some || !passed;
    if (passed && each->ended) {
      runtime_.destroy_event(each->stream.device.index, each->event);
      each = behind_.erase(each);
    } else {
      ++each;
    }
  }
  return some;
}

/// Not under the mutex: CUDA's frees wait for their device, and nobody else shall wait with them.
bool HeldFrees::free_all(std::unique_lock<std::mutex>& lock) noexcept {
  if (memory_.empty()) return false;
  const std::unique_lock alone(launching_, std::try_to_lock);
  if (!alone || some_may_run()) return false;
  const std::vector<Memory> now = std::exchange(memory_, {});
  lock.unlock();
  for (const Memory& each : now) really_(each);
  held_count_.fetch_sub(now.size(), std::memory_order_relaxed);
  rounds_.fetch_add(1, std::memory_order_release);
  return true;
}

void HeldFrees::free(const Memory& memory) noexcept {
  std::unique_lock lock(mutex_);
  try {
    memory_.push_back(memory);
  } catch (const std::bad_alloc&) {
    return;  // left behind: to free it now might wait for ever
  }
  held_count_.fetch_add(1, std::memory_order_relaxed);
  free_all(lock);
}

bool HeldFrees::make() noexcept {
  if (held() == 0) return false;
  std::unique_lock lock(mutex_);
  return free_all(lock);
}

bool HeldFrees::make_since(std::uint64_t rounds, std::chrono::milliseconds patience) noexcept {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (rounds_.load(std::memory_order_acquire) == rounds) {
    if (held() == 0) return rounds_.load(std::memory_order_acquire) != rounds;
    if (make()) return true;
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void HeldFrees::end() noexcept {
  const std::lock_guard lock(mutex_);
  for (const Memory& each : memory_) really_(each);
  memory_.clear();
  held_count_.store(0, std::memory_order_relaxed);
  for (const Behind& each : behind_) runtime_.destroy_event(each.stream.device.index, each.event);
  behind_.clear();
}

}  // namespace trireme::device
