// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/yield_ring.hpp"

#include "cli/perf/shared_segment.hpp"
#include "cli/perf/statistics.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <new>
#include <span>
#include <vector>

#include <sched.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t ring_segment_bytes = 4096;
constexpr std::chrono::seconds patience_for_ring{60};
constexpr std::uint64_t waits_between_looks = 4096;

std::atomic<std::uint64_t>& word_of(const SharedSegment& segment) {
  return *std::launder(reinterpret_cast<std::atomic<std::uint64_t>*>(segment.bytes().data()));  // zero: no round yet
}

void wait_for(const std::atomic<std::uint64_t>& word, std::uint64_t round) {
  const auto limit = Clock::now() + patience_for_ring;
  for (std::uint64_t waits = 1; word.load(std::memory_order_acquire) < round; ++waits) {
    if (waits % waits_between_looks == 0 && Clock::now() > limit)
      fail(ErrorCode::timeout, "another rank did not come to the ring of the scheduler within a minute");
    ::sched_yield();
  }
}

}  // namespace

std::optional<YieldRing> measure_yield_ring(Communicator communicator) {
  const int rank = communicator.rank(), ranks = communicator.size();
  const auto previous = static_cast<std::size_t>((rank + ranks - 1) % ranks);
  SharedSegment own = SharedSegment::make(ring_segment_bytes);
  const std::array<std::int64_t, 2> mine{::getpid(), own.descriptor()};
  std::vector<std::int64_t> all(2 * static_cast<std::size_t>(ranks));
  communicator.all_gather(std::span<const std::int64_t>(mine), std::span<std::int64_t>(all), {.label = "yield ring"});
  const SharedSegment before = SharedSegment::of(static_cast<pid_t>(all[2 * previous]),
                                                 static_cast<int>(all[2 * previous + 1]), ring_segment_bytes);
  const std::array<std::int32_t, 1> mapped{before.is_mapped() ? 1 : 0};
  std::vector<std::int32_t> anywhere(static_cast<std::size_t>(ranks));
  communicator.all_gather(std::span<const std::int32_t>(mapped), std::span<std::int32_t>(anywhere),
                          {.label = "yield ring"});
  if (std::count(anywhere.begin(), anywhere.end(), 1) != ranks) return std::nullopt;

  std::vector<double> times;
  times.reserve(YieldRing::rounds);
  for (std::uint64_t round = 1; round <= YieldRing::rounds; ++round) {
    const auto begin = Clock::now();
    if (rank != 0) wait_for(word_of(before), round);
    word_of(own).store(round, std::memory_order_release);
    if (rank == 0) wait_for(word_of(before), round);
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  std::array<double, 2> result{percentile(times, 0.5), percentile(times, 0.99)};
  communicator.broadcast(std::span<double>(result), 0, {.label = "yield ring"});  // rank 0 alone sees whole rounds
  return YieldRing{.p50_us = result[0], .p99_us = result[1]};
}

}  // namespace trireme::cli
