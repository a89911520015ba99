// SPDX-License-Identifier: Apache-2.0
// all_reduce among ranks that map each other's memory, through the front door: what is issued ahead, on the same memory,
// and memory of both kinds in one call.
#include "support/require.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <random>
#include <span>
#include <thread>
#include <vector>

using namespace trireme;
using testing::require;
using testing::run_ranks;

namespace {

/// After k all_reduces of all ranks' ones.
float expected_after(int calls, int ranks) {
  float value = 1.0f;
  for (int k = 0; k < calls; ++k) value *= static_cast<float>(ranks);
  return value;
}

}  // namespace

TEST_CASE(
    "an all_reduce in the arena sees the results of those before it on the same memory, waited for or issued ahead") {
  const int ranks = GENERATE(2, 3, 4);
  const std::uint64_t seed = GENERATE(1, 2, 3);
  run_ranks(ranks, [&](World& world) {
    auto communicator = world.communicator();
    constexpr std::size_t count = 20'000;
    const auto memory = world.memory().allocate<float>(count);
    const std::span<float> all = memory.as<float>();
    std::mt19937_64 alike(seed);                                                     // the program
    std::mt19937_64 own(seed * 100 + 1 + static_cast<std::uint64_t>(world.rank()));  // this rank's pace
    for (int round = 0; round < 60; ++round) {
      std::fill(all.begin(), all.end(), 1.0f);
      std::vector<Work> works;
      int head = 0, tail = 0;  // calls that the first element and the last have seen
      bool under_way = false;
      const int calls = 1 + static_cast<int>(alike() % 6);
      for (int call = 0; call < calls; ++call) {
        // What travels beside the flags is taken when it is issued: such a call is never issued behind another.
        const bool small = alike() % 3 == 0 && !under_way, waits = alike() % 3 == 0;
        under_way = !waits;
        const std::span<float> part = small ? all.first(1 + alike() % 64) : all;
        if (own() % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
        if (waits) {
          communicator.all_reduce(part);
        } else {
          works.push_back(communicator.all_reduce_async(part));
        }
        ++head;
        tail += small ? 0 : 1;
      }
      for (auto& work : works) work.wait();
      require(all.front() == expected_after(head, ranks), "the first element misses a call");
      require(all.back() == expected_after(tail, ranks), "the last element misses a call");
      if (round % 8 == 0) communicator.barrier();
    }
  });
}

TEST_CASE("ranks whose memory the others map and ranks whose memory they do not all_reduce together") {
  const int ranks = GENERATE(2, 3, 4);
  run_ranks(ranks, [&](World& world) {
    auto communicator = world.communicator();
    for (const std::size_t count : {1'000u, 4'096u, 100'003u}) {
      const auto arena = world.memory().allocate<float>(2 * count);
      std::vector<float> foreign(2 * count);
      for (int kinds = 0; kinds < 1 << ranks; ++kinds) {
        const bool mapped = (kinds >> world.rank() & 1) != 0;
        const std::span<float> memory = mapped ? arena.as<float>() : std::span<float>(foreign);
        const auto input = memory.first(count), output = memory.last(count);
        std::fill(input.begin(), input.end(), static_cast<float>(1 + world.rank()));
        std::fill(output.begin(), output.end(), -1.0f);
        communicator.all_reduce(input, output);
        const float sum_of_ranks = static_cast<float>(ranks * (ranks + 1) / 2);
        require(std::all_of(output.begin(), output.end(), [&](float v) { return v == sum_of_ranks; }), "a wrong sum");
        require(input.front() == static_cast<float>(1 + world.rank()), "the input was written");
      }
    }
  });
}
