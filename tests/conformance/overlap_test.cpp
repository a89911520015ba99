// SPDX-License-Identifier: Apache-2.0
// Asynchronous operations move while the caller does something else: counted, not timed. Whether one has ended is read from
// the flight recorder, for Work::done() would drive it.
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace trireme;
using testing::run_ranks;

namespace {

constexpr int ranks = 2;
constexpr std::size_t count = std::size_t{1} << 20;  // 4 MiB: far more than any buffer on the way holds
constexpr const char* label = "overlapped";

/// Whether the operation labelled `label` has ended. Moves nothing.
bool has_ended(const Communicator& communicator) {
  const std::string text = communicator.flight_recorder_json();
  const auto at = text.find("\"label\": \"" + std::string(label));
  return at != std::string::npos && text.substr(at, text.find('}', at) - at).find("\"done\"") != std::string::npos;
}

void fill(std::span<float> data, int rank) {
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>((rank + 1) * static_cast<int>(i % 1021));
}

bool is_sum(std::span<const float> data) {
  std::size_t i = 0;
  return std::all_of(data.begin(), data.end(),
                     [&](float value) { return value == static_cast<float>(3 * static_cast<int>(i++ % 1021)); });
}

/// What the ranks found; Catch's assertions are not for several threads.
struct Findings {
  std::array<std::atomic<bool>, ranks> ended_before_wait{};
  std::array<std::atomic<bool>, ranks> right{};
};

}  // namespace

TEST_CASE("With a progress thread an all_reduce ends while its callers only sleep; without one, not before they wait") {
  const bool progress_thread = GENERATE(true, false);
  Findings found;
  std::barrier meeting(ranks);  // outside the library, which nobody shall call
  run_ranks(ranks,
            [&](World& world) {
              const auto rank = static_cast<std::size_t>(world.rank());
              auto communicator = world.communicator();
              const ArenaBuffer buffer = world.memory().allocate<float>(count);
              const auto data = buffer.as<float>();
              fill(data, world.rank());
              communicator.barrier();
              Work work = communicator.all_reduce_async(data, sum, {.label = label});
              const auto limit = std::chrono::steady_clock::now() +
                                 (progress_thread ? std::chrono::seconds(30) : std::chrono::seconds(1));
              while (!has_ended(communicator) && std::chrono::steady_clock::now() < limit)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
              found.ended_before_wait[rank] = has_ended(communicator);
              meeting.arrive_and_wait();  // a rank that waits drives, and so would help the other
              work.wait();
              found.right[rank] = is_sum(data);
            },
            {.transport = "tcp", .world = {.progress_thread = progress_thread}});
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    CAPTURE(rank, progress_thread);
    CHECK(found.ended_before_wait[rank] == progress_thread);
    CHECK(found.right[rank]);
  }
}

TEST_CASE("progress() alone brings an all_reduce to its end, in a counted number of calls") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm");
  const bool arena = GENERATE(true, false);
  // In the arena: announced, combined, seen. Foreign memory goes piece by piece, a few in flight.
  const int enough = arena ? 8 : 40;
  Findings found;
  std::array<std::atomic<int>, ranks> calls{};
  std::barrier meeting(ranks);
  run_ranks(ranks,
            [&](World& world) {
              const auto rank = static_cast<std::size_t>(world.rank());
              auto communicator = world.communicator();
              const ArenaBuffer buffer = world.memory().allocate<float>(count);
              std::vector<float> foreign(count);
              const std::span<float> data = arena ? buffer.as<float>() : std::span(foreign);
              fill(data, world.rank());
              communicator.barrier();
              Work work = communicator.all_reduce_async(data, sum, {.label = label});
              // In step, so that the number is the protocol's and not the scheduler's.
              for (int round = 0; round < 2 * enough; ++round) {
                meeting.arrive_and_wait();
                if (has_ended(communicator)) continue;
                communicator.progress();
                ++calls[rank];
              }
              found.ended_before_wait[rank] = has_ended(communicator);
              meeting.arrive_and_wait();
              work.wait();
              found.right[rank] = is_sum(data);
            },
            {.transport = transport, .world = {.progress_thread = false}});
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    CAPTURE(rank, transport, arena, calls[rank].load());
    CHECK(found.ended_before_wait[rank]);
    CHECK(calls[rank] >= 1);
    CHECK(calls[rank] <= enough);
    CHECK(found.right[rank]);
  }
}
