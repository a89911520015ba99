// SPDX-License-Identifier: Apache-2.0
#include "platform/placement.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>

#include <pthread.h>
#include <sched.h>

namespace trireme::platform {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t handoffs = 10'000;
constexpr int copies = 20'000;
constexpr std::size_t copied = 4096;

struct Meeting {
  alignas(128) std::atomic<std::uint64_t> first{0};
  alignas(128) std::atomic<std::uint64_t> second{0};
  alignas(128) std::atomic<int> arrived{0};

  void barrier(int parties) {
    arrived.fetch_add(1);
    while (arrived.load() < parties) std::this_thread::yield();
  }
};

bool move_to(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set) == 0;
}

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double time_of_copies() {
  alignas(64) std::array<std::byte, copied> from{}, to{};
  const auto begin = Clock::now();
  for (int i = 0; i < copies; ++i) {
    std::memcpy(to.data(), from.data(), copied);
    asm volatile("" : : "r"(to.data()) : "memory");  // or the copies would be left out
  }
  return seconds_since(begin);
}

/// The other processor's part of both measurements.
void answer(Meeting& meeting, int processor) {
  move_to(processor);
  meeting.barrier(2);
  for (std::uint64_t i = 1; i <= handoffs; ++i) {
    while (meeting.first.load(std::memory_order_acquire) < i) {
    }
    meeting.second.store(i, std::memory_order_release);
  }
  meeting.barrier(4);
  time_of_copies();
}

Placement measure(Meeting& meeting) {
  Placement placement;
  meeting.barrier(2);
  const auto begin = Clock::now();
  for (std::uint64_t i = 1; i <= handoffs; ++i) {
    meeting.first.store(i, std::memory_order_release);
    while (meeting.second.load(std::memory_order_acquire) < i) {
    }
  }
  placement.handoff_ns = seconds_since(begin) * 1e9 / (2.0 * handoffs);
  const double alone = time_of_copies();
  meeting.barrier(4);
  placement.copy_slowdown = time_of_copies() / alone;
  return placement;
}

}  // namespace

std::optional<Placement> probe_placement() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return std::nullopt;
  std::array<int, 2> processors{};
  for (int processor = 0, found = 0; found < 2; ++processor) {
    if (CPU_ISSET(processor, &allowed)) processors[static_cast<std::size_t>(found++)] = processor;
  }
  // Where either is refused, both threads could end up on one, and take a time slice for each hand-off.
  if (!move_to(processors[1]) || !move_to(processors[0])) return std::nullopt;
  Meeting meeting;
  std::thread other([&] { answer(meeting, processors[1]); });
  const Placement placement = measure(meeting);
  other.join();
  ::pthread_setaffinity_np(::pthread_self(), sizeof allowed, &allowed);
  return placement;
}

}  // namespace trireme::platform
