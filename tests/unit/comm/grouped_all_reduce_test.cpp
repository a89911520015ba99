// SPDX-License-Identifier: Apache-2.0
// all_reduce by groups through the front door: threads that are told they sit behind several caches.
#include "support/exact_inputs.hpp"
#include "support/require.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <exception>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace trireme;
using testing::require;
using testing::run_ranks;

namespace {

/// `ranks` ranks in `domains` caches, one after the other; every size that is not copied beside the flags goes by groups.
comm::CacheGroups pretended(int ranks, int domains, std::size_t from_bytes = 0) {
  comm::CacheGroups groups{.from_bytes = from_bytes};
  for (int r = 0; r < ranks; ++r) groups.domain_of.push_back(r * domains / ranks);
  return groups;
}

/// One all_reduce of a program, alike on all ranks.
struct Call {
  DType dtype = DType::f32;
  ReduceOp op = sum;
  std::size_t count = 0;
  bool in_place = false;
  bool arena = true;
};

template <class T>
void write_input(std::byte* memory, const Call& call, int rank, std::size_t salt) {
  for (std::size_t i = 0; i < call.count; ++i) {
    const T value = testing::rough_value<T>(rank, i + 131 * salt);
    std::memcpy(memory + i * sizeof(T), &value, sizeof(T));
  }
}

void write_input(std::byte* memory, const Call& call, int rank, std::size_t salt) {
  switch (call.dtype) {
    case DType::f64: return write_input<double>(memory, call, rank, salt);
    case DType::f32: return write_input<float>(memory, call, rank, salt);
    case DType::i64: return write_input<std::int64_t>(memory, call, rank, salt);
    case DType::u8: return write_input<std::uint8_t>(memory, call, rank, salt);
    default: return write_input<BFloat16>(memory, call, rank, salt);
  }
}

/// The results of all calls, rank after rank: each is compared with those of rank 0 here.
std::vector<std::byte> results_of(int ranks, const std::vector<Call>& calls, const testing::RunRanksOptions& options) {
  std::vector<std::vector<std::byte>> results(static_cast<std::size_t>(ranks));
  run_ranks(
      ranks,
      [&](World& world) {
        auto communicator = world.communicator();
        auto& mine = results[static_cast<std::size_t>(world.rank())];
        std::size_t room = 64;
        for (const auto& call : calls) room = std::max(room, call.count * size_of(call.dtype));
        const auto in = world.memory().allocate<std::byte>(room), out = world.memory().allocate<std::byte>(room);
        std::vector<std::byte> foreign(room);
        for (std::size_t i = 0; i < calls.size(); ++i) {
          const auto& call = calls[i];
          std::byte* input = call.arena ? in.as<std::byte>().data() : foreign.data();
          std::byte* output = call.in_place ? input : out.as<std::byte>().data();
          std::memset(output, 0xff, call.count * size_of(call.dtype));
          write_input(input, call, world.rank(), i);
          communicator.all_reduce(ConstTensorView{input, call.count, call.dtype},
                                  TensorView{output, call.count, call.dtype}, call.op);
          mine.insert(mine.end(), output, output + call.count * size_of(call.dtype));
        }
      },
      options);
  for (const auto& each : results) REQUIRE(each == results.front());
  return results.front();
}

std::vector<Call> every_call(std::size_t ranks) {
  std::vector<Call> calls;
  for (const DType dtype : {DType::f64, DType::f32, DType::i64, DType::u8, DType::bf16}) {
    for (const std::size_t count :
         std::vector<std::size_t>{0, 1, ranks - 1, ranks, ranks + 1, 1009, 4099, 16384, 20011, 140'009}) {
      for (const ReduceOp op : {sum, average, minimum, maximum}) {
        if (op.kind == ReduceKind::average && !is_floating(dtype)) continue;
        const bool every = dtype == DType::f32 || count == 20011;
        if (!every && op.kind != (is_floating(dtype) ? ReduceKind::average : ReduceKind::sum)) continue;
        for (const bool in_place : {false, true}) calls.push_back({dtype, op, count, in_place});
      }
    }
  }
  return calls;
}

}  // namespace

TEST_CASE("all_reduce by groups gives the bits of one level and of the plan direct") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm");
  struct Shape {
    int ranks, domains;
  };
  const auto shape = GENERATE(Shape{4, 2}, Shape{8, 2}, Shape{8, 4});
  if (transport == "shm" && shape.ranks == 8) return;  // the same as mem, once the arenas are mapped
#ifdef TRIREME_SANITIZED
  if (transport == "shm" || shape.ranks == 8) return;
#endif
  const auto calls = every_call(static_cast<std::size_t>(shape.ranks));
  const auto grouped = results_of(shape.ranks, calls, {transport, pretended(shape.ranks, shape.domains), Options{}});
  CAPTURE(transport, shape.ranks, shape.domains);
  REQUIRE(grouped == results_of(shape.ranks, calls, {transport, {}, Options{.cache_groups = "off"}}));
  REQUIRE(grouped == results_of(shape.ranks, calls, {transport, {}, Options{.algorithm = "direct"}}));
}

TEST_CASE("operations by groups, in one level, staged and small follow each other in any order") {
  std::mt19937 random(11);
#ifdef TRIREME_SANITIZED
  constexpr int number = 24;
#else
  constexpr int number = 150;
#endif
  std::vector<Call> calls;
  for (int i = 0; i < number; ++i) {
    constexpr std::array types{DType::f32, DType::f64, DType::bf16};
    constexpr std::array<std::size_t, 6> counts{3, 700, 5003, 16384, 70001, 200003};
    Call call{.dtype = types[random() % 3], .count = counts[random() % 6], .in_place = random() % 2 == 0};
    call.arena = random() % 4 != 0;
    if (random() % 3 == 0) call.op = average;
    calls.push_back(call);
  }
  const auto expected = results_of(4, calls, {"mem", {}, Options{.cache_groups = "off"}});
  REQUIRE(results_of(4, calls, {"mem", pretended(4, 2), Options{}}) == expected);
  REQUIRE(results_of(4, calls, {"mem", pretended(4, 2, 100'000), Options{}}) == expected);
}

TEST_CASE("eight all_reduces by groups may be under way at once, also in a communicator of some ranks") {
  run_ranks(6,
            [&](World& world) {
              auto all = world.communicator();
              auto some = all.split(world.rank() / 4, world.rank());  // 0..3: two domains of two; 4, 5: one
              constexpr std::size_t count = 50'000;
              const auto memory = world.memory().allocate<float>(8 * count);
              for (int round = 0; round < 10; ++round) {
                std::vector<Work> works;
                for (std::size_t i = 0; i < 8; ++i) {
                  const auto mine = memory.as<float>().subspan(i * count, count);
                  std::fill(mine.begin(), mine.end(), static_cast<float>(some->rank() + 1));
                  works.push_back(some->all_reduce_async(mine));
                }
                for (auto& work : works) work.wait();
                const float expected = some->size() == 4 ? 10.0f : 3.0f;
                for (std::size_t i = 0; i < 8 * count; i += 97)
                  require(memory.as<float>()[i] == expected, "a wrong sum");
              }
            },
            {.cache_groups = pretended(6, 3)});
}

TEST_CASE(
    "an all_reduce by groups that is issued ahead waits for the small one before it, on part of the same memory") {
  run_ranks(4,
            [&](World& world) {
              auto communicator = world.communicator();
              constexpr std::size_t count = 50'000;
              const auto memory = world.memory().allocate<float>(count);
              for (int round = 0; round < 20; ++round) {
                std::fill(memory.as<float>().begin(), memory.as<float>().end(), 1.0f);
                communicator.barrier();
                auto part = communicator.all_reduce_async(memory.as<float>().first(1));
                auto whole = communicator.all_reduce_async(memory.as<float>());
                // Announced, both of them; now this rank does nothing for a while, and so has not written the first result.
                if (world.rank() == round % 4) std::this_thread::sleep_for(std::chrono::milliseconds(2));
                part.wait();
                whole.wait();
                require(memory.as<float>()[0] == 16.0f, "the second did not see the first's result");
                require(memory.as<float>()[count - 1] == 4.0f, "a wrong sum");
              }
            },
            {.cache_groups = pretended(4, 2)});
}

TEST_CASE("who leaves while the others all_reduce by groups is named") {
  const auto thrown = testing::run_ranks_collecting(4,
                                                    [&](World& world) {
                                                      auto communicator = world.communicator();
                                                      const auto memory = world.memory().allocate<float>(100'000);
                                                      for (int i = 0; i < 20; ++i) {
                                                        if (world.rank() == 3 && i == 11)
                                                          throw std::logic_error("leaves");
                                                        communicator.all_reduce(memory.as<float>());
                                                      }
                                                    },
                                                    {.cache_groups = pretended(4, 2)});
  for (int rank = 0; rank < 3; ++rank) {
    try {
      REQUIRE(thrown[static_cast<std::size_t>(rank)]);
      std::rethrow_exception(thrown[static_cast<std::size_t>(rank)]);
    } catch (const Exception& caught) {
      REQUIRE(caught.error().code == ErrorCode::peer_lost);
      REQUIRE(caught.error().peer_rank == 3);
    }
  }
}

TEST_CASE("explain() says whether an all_reduce goes in two levels, and why") {
  const auto text = [](std::optional<comm::CacheGroups> groups, std::size_t count, CallOptions options = {},
                       DType dtype = DType::f32, std::optional<std::string> setting = {}) {
    std::string said;
    run_ranks(4,
              [&](World& world) {
                const auto all = world.communicator().explain(count, dtype, options).text;
                if (world.rank() == 0) said = all;
              },
              {"mem", std::move(groups), Options{.cache_groups = std::move(setting)}});
    return said;
  };
  const auto has = [](const std::string& all, const std::string& part) { return all.find(part) != std::string::npos; };
  const auto usual = pretended(4, 2, std::size_t{1} << 20);
  REQUIRE(has(text(usual, 1 << 20), "two levels: 4 ranks in 2 cache domains"));
  REQUIRE(has(text(usual, 1000), "one level: 4 ranks in 2 cache domains, but below 1048576 bytes"));
  REQUIRE(has(text(usual, 1 << 20, {}, DType::bf16), "wider than the output's type"));
  REQUIRE(has(text(usual, 1 << 20, {}, DType::f32, "off"), "one level: cache groups are off"));
  REQUIRE(has(text(pretended(4, 1), 1 << 20), "one level: 4 ranks in 1 cache domain"));
  REQUIRE(has(text(comm::CacheGroups{.domain_of = {0, 0, -1, 1}}, 1 << 20), "rank 2 is unknown"));
}
