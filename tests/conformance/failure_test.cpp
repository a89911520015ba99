// SPDX-License-Identifier: Apache-2.0
// The second promise: it never hangs, and the error names who is at fault.
#include "conformance/case_world.hpp"
#include "support/failures.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

using namespace trireme;
using testing::run_ranks_collecting;

using testing::has;

namespace {

constexpr const char* one_failure =
    "the first failure ends the one world that a process has; tests/multiprocess shows failures there";

std::optional<Error> error_of(const std::exception_ptr& thrown) {
  if (!thrown) return std::nullopt;
  try {
    std::rethrow_exception(thrown);
  } catch (const Exception& error) {
    return error.error();
  } catch (const std::exception& error) {
    return Error{.code = ErrorCode::none, .message = error.what()};
  }
}

/// A transport by its name; "tcp3" is tcp with three flows.
testing::RunRanksOptions over(const std::string& transport,
                              std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
  if (transport == "tcp3") return {.transport = "tcp", .world = {.timeout = timeout, .tcp_flows = 3}};
  return {.transport = transport, .world = {.timeout = timeout}};
}

}  // namespace

TEST_CASE("ranks that disagree on an operation both learn what each called") {
  if (!testing::among_threads(one_failure)) return;
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  struct Disagreement {
    const char* name;
    const char* zero;  // part of rank 0's description
    const char* one;
    std::function<void(Communicator&, int)> call;
  };
  const std::vector<Disagreement> disagreements{
      {"count", "count 10,", "count 11,",
       [](Communicator& c, int rank) {
         std::vector<float> data(rank == 0 ? 10 : 11);
         c.all_reduce(std::span(data));
       }},
      {"large count", "count 100000,", "count 200000,",
       [](Communicator& c, int rank) {
         std::vector<float> data(rank == 0 ? 100000 : 200000);
         c.all_reduce(std::span(data));
       }},
      {"count zero", "count 0,", "count 5,",
       [](Communicator& c, int rank) {
         std::vector<float> data(rank == 0 ? 0 : 5);
         c.all_reduce(std::span(data));
         std::vector<float> next(3);
         c.all_reduce(std::span(next));  // where the rank that had nothing to do learns of it
       }},
      {"dtype", "f32", "i32",
       [](Communicator& c, int rank) {
         std::vector<float> f(10);
         std::vector<std::int32_t> i(10);
         rank == 0 ? c.all_reduce(std::span(f)) : c.all_reduce(std::span(i));
       }},
      {"reduction", "sum", "max",
       [](Communicator& c, int rank) {
         std::vector<float> data(10);
         c.all_reduce(std::span(data), rank == 0 ? sum : maximum);
       }},
      {"operation", "all_reduce(", "broadcast(",
       [](Communicator& c, int rank) {
         std::vector<float> data(10);
         rank == 0 ? c.all_reduce(std::span(data)) : c.broadcast(std::span(data), 1);
         std::vector<float> next(3);
         c.all_reduce(std::span(next));
       }},
      {"order of calls", "count 10,", "count 20,",
       [](Communicator& c, int rank) {
         std::vector<float> a(10), b(20);
         c.all_reduce(std::span(rank == 0 ? a : b));
         c.all_reduce(std::span(rank == 0 ? b : a));
       }},
      {"root", "root 0", "root 1",
       [](Communicator& c, int rank) {
         std::vector<float> data(10);
         c.broadcast(std::span(data), rank);
         std::vector<float> next(3);
         c.all_reduce(std::span(next));
       }},
      {"root of a reduction", "root 0", "root 1",
       [](Communicator& c, int rank) {
         std::vector<float> data(10);
         c.reduce(std::span<const float>(data), std::span(data), rank);
       }},
      {"sizes between a pair", "7 elements between the two", "6 elements between the two",
       [](Communicator& c, int rank) {
         using Counts = std::array<std::size_t, 2>;
         const Counts send = rank == 0 ? Counts{3, 7} : Counts{4, 2}, receive = rank == 0 ? Counts{3, 4} : Counts{6, 2};
         std::vector<float> in(send[0] + send[1]), out(receive[0] + receive[1]);
         c.all_to_all(ConstTensorView(std::span(in)), send, TensorView(std::span(out)), receive);
         c.barrier();  // where the rank that was served learns of it
       }},
      {"something for nothing", "1 elements between the two", "0 elements between the two",
       [](Communicator& c, int rank) {
         using Counts = std::array<std::size_t, 2>;
         const Counts send = rank == 0 ? Counts{0, 1} : Counts{0, 0}, receive{0, 0};
         std::vector<float> in(send[0] + send[1]), out(1);
         c.all_to_all(ConstTensorView(std::span(in)), send, TensorView(std::span(out).first(0)), receive);
         c.barrier();
       }},
      {"blocks of the same sum", "count 10 in all", "count 10 in all",
       [](Communicator& c, int rank) {
         const std::array<std::size_t, 2> counts{rank == 0 ? 4u : 5u, rank == 0 ? 6u : 5u};
         std::vector<float> in(rank == 0 ? 4 : 5), out(10);
         c.all_gather(ConstTensorView(std::span(in)), TensorView(std::span(out)), counts);
       }},
      {"counts of a reduce_scatter", "reduce_scatter(uneven, count 10 in all, counts' digest",
       "reduce_scatter(uneven, count 10 in all, counts' digest",
       [](Communicator& c, int rank) {
         const std::array<std::size_t, 2> counts{rank == 0 ? 4u : 5u, rank == 0 ? 6u : 5u};
         std::vector<float> in(10), out(rank == 0 ? 4 : 5);
         c.reduce_scatter(ConstTensorView(std::span(in)), TensorView(std::span(out)), counts);
         c.barrier();
       }},
      {"all of a reduce_scatter for everybody", "counts' digest", "counts' digest",
       [](Communicator& c, int rank) {  // no element goes anywhere
         const std::array<std::size_t, 2> counts{rank == 0 ? 10u : 0u, rank == 0 ? 0u : 10u};
         std::vector<float> in(10), out(10);
         c.reduce_scatter(ConstTensorView(std::span(in)), TensorView(std::span(out)), counts);
         c.barrier();
       }},
      {"divisor beside counts", "digest of counts and divisor", "digest of counts and divisor",
       [](Communicator& c, int rank) {
         const std::array<std::size_t, 2> counts{4, 6};
         std::vector<float> in(10), out(rank == 0 ? 4 : 6);
         c.reduce_scatter(ConstTensorView(std::span(in)), TensorView(std::span(out)), counts, average_over(3 + rank));
         c.barrier();
       }},
      {"with counts and without", "count 10 in all", "count 5 per rank",
       [](Communicator& c, int rank) {
         const std::array<std::size_t, 2> counts{5, 5};
         std::vector<float> in(10), out(5);
         if (rank == 0) {
           c.reduce_scatter(ConstTensorView(std::span(in)), TensorView(std::span(out)), counts);
         } else {
           c.reduce_scatter(ConstTensorView(std::span(in)), TensorView(std::span(out)));
         }
         c.barrier();
       }},
  };
  for (const auto& each : disagreements) {
    CAPTURE(transport, each.name);
    const auto begin = std::chrono::steady_clock::now();
    std::string host;
    const auto thrown = run_ranks_collecting(
        2,
        [&](World& world) {
          if (world.rank() == 0) host = world.host(1);
          auto communicator = world.communicator();
          std::vector<float> fine(4);
          communicator.all_reduce(std::span(fine));
          each.call(communicator, world.rank());
        },
        over(transport));
    REQUIRE(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));  // not by the timer
    for (const auto& rank : thrown) {
      const auto error = error_of(rank);
      REQUIRE(error);
      CAPTURE(to_string(*error));
      REQUIRE(error->code == ErrorCode::mismatch);
      REQUIRE(has(error->message, "rank 0 called"));
      REQUIRE(has(error->message, "rank 1 called"));
      REQUIRE(has(error->message, each.zero));
      REQUIRE(has(error->message, each.one));
      REQUIRE(has(error->message, " on " + host));
    }
  }
}

TEST_CASE("a rank that never comes is named at the deadline, not a neighbour that waits for it") {
  if (!testing::among_threads(one_failure)) return;
  const auto transport = GENERATE(as<std::string>{}, "mem", "tcp");
  const auto algorithm = GENERATE(as<std::string>{}, "direct", "tree", "recursive_doubling");
  CAPTURE(transport, algorithm);
  auto options = over(transport, std::chrono::seconds(2));
  options.world.algorithm = algorithm;
  std::atomic<int> failed{0};
  const auto thrown = run_ranks_collecting(
      4,
      [&](World& world) {
        auto communicator = world.communicator();
        std::vector<float> data(3000);
        communicator.all_reduce(std::span(data));
        if (world.rank() == 2) {
          // Busy elsewhere until the others have given up.
          for (int i = 0; i < 2000 && failed < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
          return;
        }
        try {
          communicator.all_reduce(std::span(data), sum, {.label = "layer3.weight"});
        } catch (...) {
          ++failed;
          throw;
        }
      },
      options);
  for (int rank : {0, 1, 3}) {
    const auto error = error_of(thrown[static_cast<std::size_t>(rank)]);
    REQUIRE(error);
    CAPTURE(rank, to_string(*error));
    REQUIRE(error->code == ErrorCode::timeout);
    REQUIRE(error->peer_rank == 2);
    REQUIRE(has(error->message, "rank 2"));
    REQUIRE(error->operation == "all_reduce #1");
    REQUIRE(error->label == "layer3.weight");
    REQUIRE(error->rank == rank);
  }
}

TEST_CASE("a rank that fails takes the others with it, under its name, long before the deadline") {
  if (!testing::among_threads(one_failure)) return;
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  const auto begin = std::chrono::steady_clock::now();
  const auto thrown = run_ranks_collecting(
      3,
      [&](World& world) {
        std::vector<float> data(50000);
        for (int i = 0; i < 5; ++i) world.communicator().all_reduce(std::span(data), sum, {.label = "layer0.weight"});
        if (world.rank() == 1) throw std::runtime_error("out of cheese");
        for (;;) world.communicator().all_reduce(std::span(data), sum, {.label = "layer0.weight"});
      },
      over(transport));
  REQUIRE(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));
  REQUIRE(error_of(thrown[1])->message == "out of cheese");
  for (int rank : {0, 2}) {
    const auto error = error_of(thrown[static_cast<std::size_t>(rank)]);
    REQUIRE(error);
    CAPTURE(transport, rank, to_string(*error));
    REQUIRE(error->code == ErrorCode::peer_lost);
    REQUIRE(error->peer_rank == 1);
    // The operation it was missed in: the last that it called, if others were not done with it, or the one behind.
    const bool named = has(error->message, "during all_reduce #4 'layer0.weight'") ||
                       has(error->message, "during all_reduce #5 'layer0.weight'");
    REQUIRE(named);
  }
}

TEST_CASE("a rank without memory for an operation fails all at once, under its name") {
  if (!testing::among_threads(one_failure)) return;
  std::string said;
  const auto begin = std::chrono::steady_clock::now();
  const auto thrown = run_ranks_collecting(
      3,
      [&](World& world) {
        std::vector<float> data(3'000'000);
        std::vector<ArenaBuffer> taken;
        for (std::size_t bytes = 32u << 20; world.rank() == 1 && bytes >= 4096;) {
          try {
            taken.push_back(world.memory().allocate(Bytes{bytes}));
          } catch (const Exception&) {
            bytes /= 2;
          }
        }
        world.communicator().all_reduce(std::span(data), sum, {.label = "layer0.weight"});
      },
      {.transport = "tcp", .world = {.timeout = std::chrono::seconds(60), .arena_reserve = Bytes{128u << 20}}});
  REQUIRE(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));  // not by the timer
  for (const auto& rank : thrown) {
    const auto error = error_of(rank);
    REQUIRE(error);
    CAPTURE(to_string(*error));
    REQUIRE(error->code == ErrorCode::system);
    REQUIRE(error->peer_rank == 1);
    REQUIRE(has(error->message, "rank 1 ("));
    REQUIRE(has(error->message, "all_reduce #0 'layer0.weight'"));
    REQUIRE(has(error->message, "exhausted"));
  }
}

TEST_CASE("a rank that leaves early is named by those who still need it") {
  if (!testing::among_threads(one_failure)) return;
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  const auto thrown = run_ranks_collecting(
      3,
      [&](World& world) {
        std::vector<float> data(100);
        world.communicator().all_reduce(std::span(data));
        if (world.rank() == 2) return;
        world.communicator().all_reduce(std::span(data));
      },
      over(transport));
  REQUIRE(!thrown[2]);
  for (int rank : {0, 1}) {
    const auto error = error_of(thrown[static_cast<std::size_t>(rank)]);
    REQUIRE(error);
    CAPTURE(transport, rank, to_string(*error));
    REQUIRE((error->code == ErrorCode::closed || error->code == ErrorCode::peer_lost));
    REQUIRE(has(error->message, "rank 2"));
  }
}

TEST_CASE("after a failure every later call fails at once with the first cause") {
  if (!testing::among_threads(one_failure)) return;
  std::vector<std::string> first(2), second(2);
  run_ranks_collecting(2, [&](World& world) {
    auto communicator = world.communicator();
    auto other = *communicator.split(0);
    std::vector<float> data(world.rank() == 0 ? 10 : 11);
    const auto rank = static_cast<std::size_t>(world.rank());
    try {
      communicator.all_reduce(std::span(data));
    } catch (const Exception& error) {
      first[rank] = error.error().message;
    }
    try {
      other.barrier();
    } catch (const Exception& error) {
      second[rank] = error.error().message;
    }
  });
  for (std::size_t rank = 0; rank < 2; ++rank) {
    REQUIRE(has(first[rank], "disagree"));
    REQUIRE(second[rank] == first[rank]);
  }
}

TEST_CASE("an asynchronous operation reports its failure through wait and error") {
  if (!testing::among_threads(one_failure)) return;
  std::atomic<int> right{0};
  run_ranks_collecting(2, [&](World& world) {
    std::vector<float> data(world.rank() == 0 ? 10 : 11);
    Work work = world.communicator().all_reduce_async(std::span(data), sum, {.label = "w"});
    if (!work.wait_for(std::chrono::seconds(20))) return;
    if (work.error() == nullptr || work.error()->code != ErrorCode::mismatch) return;
    try {
      work.wait();
    } catch (const Exception& error) {
      if (error.error().label == "w") ++right;
    }
  });
  REQUIRE(right == 2);
}

TEST_CASE("a rank that aborts ends the waits and calls of all ranks, with its words") {
  if (!testing::among_threads(one_failure)) return;
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const auto thrown = run_ranks_collecting(
      3,
      [&](World& world) {
        Communicator all = world.communicator();
        Communicator pair = *all.split(world.rank() == 2 ? 1 : 0, world.rank());
        if (world.rank() == 2) {
          pair.abort({.code = ErrorCode::device, .message = "the layer is broken"});  // of this rank alone
          all.barrier();
        } else if (world.rank() == 1) {
          pair.barrier();  // rank 0 does not come
        } else {
          all.barrier();
        }
      },
      over(transport));
  for (const auto& each : thrown) {
    const auto error = error_of(each);
    REQUIRE(error);
    INFO(error->message);
    CHECK(error->code == ErrorCode::device);
    CHECK(has(error->message, "rank 2"));
    CHECK(has(error->message, "the layer is broken"));
    CHECK(error->peer_rank == 2);
  }
}
