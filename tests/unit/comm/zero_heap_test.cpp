// SPDX-License-Identifier: Apache-2.0
// From the 2nd to the 1000th operation of a shape: no heap call, no mutex, no log, by any thread of any rank.
#include "trireme/world/run_ranks.hpp"
#include "unit/comm/forbidden_calls.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

using namespace trireme;

namespace {

constexpr int ranks = 3;
constexpr int operations = 1000;

struct Buffers {
  std::span<float> in;
  std::span<float> out;
};

/// One shape of operation: `count` elements on every rank where it is not a barrier.
struct Shape {
  const char* name;
  std::size_t count;
  std::function<Work(Communicator&, const Buffers&, std::size_t count)> issue;
  std::function<void(Communicator&, const Buffers&, std::size_t count)> call;
};

/// n elements to the next rank, half as many to itself: what rank `rank` sends to and receives from each.
std::pair<std::array<std::size_t, ranks>, std::array<std::size_t, ranks>> uneven_counts(int rank, std::size_t n) {
  std::array<std::size_t, ranks> send{}, receive{};
  send[static_cast<std::size_t>(rank + 1) % ranks] = n;
  receive[static_cast<std::size_t>(rank + ranks - 1) % ranks] = n;
  send[static_cast<std::size_t>(rank)] = receive[static_cast<std::size_t>(rank)] = n / 2;
  return {send, receive};
}

/// An empty block, a large and a small one.
std::array<std::size_t, ranks> block_counts(std::size_t n) { return {0, 2 * n, n / 2}; }
std::span<float> own_block(int rank, std::span<float> whole, const std::array<std::size_t, ranks>& counts) {
  const auto own = static_cast<std::size_t>(rank);
  return whole.subspan(std::accumulate(counts.begin(), counts.begin() + rank, std::size_t{0}), counts[own]);
}

std::vector<Shape> shapes_of(std::size_t count) {
  const CallOptions fastest{.order = ReductionOrder::fastest, .label = "a label of more than fifteen characters"};
  return {
      {"all_reduce", count,
       [](auto& c, auto& b, auto n) {
         return c.all_reduce_async(ConstTensorView(b.in.first(n)), TensorView(b.out.first(n)));
       },
       [](auto& c, auto& b, auto n) { c.all_reduce(ConstTensorView(b.in.first(n)), TensorView(b.out.first(n))); }},
      {"all_reduce in place, fastest", count,
       [fastest](auto& c, auto& b, auto n) { return c.all_reduce_async(b.out.first(n), average, fastest); },
       [fastest](auto& c, auto& b, auto n) { c.all_reduce(b.out.first(n), average, fastest); }},
      {"broadcast", count, [](auto& c, auto& b, auto n) { return c.broadcast_async(TensorView(b.out.first(n)), 0); },
       [](auto& c, auto& b, auto n) { c.broadcast(b.out.first(n), 0); }},
      {"all_gather", count,
       [](auto& c, auto& b, auto n) {
         return c.all_gather_async(ConstTensorView(b.in.first(n)), TensorView(b.out.first(ranks * n)));
       },
       [](auto& c, auto& b, auto n) {
         c.all_gather(ConstTensorView(b.in.first(n)), TensorView(b.out.first(ranks * n)));
       }},
      {"reduce_scatter", count,
       [](auto& c, auto& b, auto n) {
         return c.reduce_scatter_async(ConstTensorView(b.in.first(ranks * n)), TensorView(b.out.first(n)));
       },
       [](auto& c, auto& b, auto n) {
         c.reduce_scatter(ConstTensorView(b.in.first(ranks * n)), TensorView(b.out.first(n)));
       }},
      {"all_gather with counts, in place", count,
       [](auto& c, auto& b, auto n) {
         const auto counts = block_counts(n);
         return c.all_gather_async(ConstTensorView(own_block(c.rank(), b.out, counts)),
                                   TensorView(b.out.first(2 * n + n / 2)), counts);
       },
       [](auto& c, auto& b, auto n) {
         const auto counts = block_counts(n);
         c.all_gather(ConstTensorView(own_block(c.rank(), b.out, counts)), TensorView(b.out.first(2 * n + n / 2)),
                      counts);
       }},
      {"reduce_scatter with counts", count,
       [](auto& c, auto& b, auto n) {
         const auto counts = block_counts(n);
         return c.reduce_scatter_async(ConstTensorView(b.in.first(2 * n + n / 2)),
                                       TensorView(own_block(c.rank(), b.out, counts)), counts, average_over(3));
       },
       [](auto& c, auto& b, auto n) {
         const auto counts = block_counts(n);
         c.reduce_scatter(ConstTensorView(b.in.first(2 * n + n / 2)), TensorView(own_block(c.rank(), b.out, counts)),
                          counts, average_over(3));
       }},
      {"reduce", count,
       [](auto& c, auto& b, auto n) {
         return c.reduce_async(ConstTensorView(b.in.first(n)), TensorView(b.out.first(n)), 1);
       },
       [](auto& c, auto& b, auto n) { c.reduce(ConstTensorView(b.in.first(n)), TensorView(b.out.first(n)), 1); }},
      {"gather", count,
       [](auto& c, auto& b, auto n) {
         return c.gather_async(ConstTensorView(b.in.first(n)), TensorView(b.out.first(ranks * n)), 1);
       },
       [](auto& c, auto& b, auto n) {
         c.gather(ConstTensorView(b.in.first(n)), TensorView(b.out.first(ranks * n)), 1);
       }},
      {"scatter", count,
       [](auto& c, auto& b, auto n) {
         return c.scatter_async(ConstTensorView(b.in.first(ranks * n)), TensorView(b.out.first(n)), 1);
       },
       [](auto& c, auto& b, auto n) {
         c.scatter(ConstTensorView(b.in.first(ranks * n)), TensorView(b.out.first(n)), 1);
       }},
      {"all_to_all", count,
       [](auto& c, auto& b, auto n) {
         return c.all_to_all_async(ConstTensorView(b.in.first(ranks * n)), TensorView(b.out.first(ranks * n)));
       },
       [](auto& c, auto& b, auto n) {
         c.all_to_all(ConstTensorView(b.in.first(ranks * n)), TensorView(b.out.first(ranks * n)));
       }},
      {"uneven all_to_all", count,
       [](auto& c, auto& b, auto n) {
         const auto [send, receive] = uneven_counts(c.rank(), n);
         return c.all_to_all_async(ConstTensorView(b.in.first(n + n / 2)), send, TensorView(b.out.first(n + n / 2)),
                                   receive);
       },
       [](auto& c, auto& b, auto n) {
         const auto [send, receive] = uneven_counts(c.rank(), n);
         c.all_to_all(ConstTensorView(b.in.first(n + n / 2)), send, TensorView(b.out.first(n + n / 2)), receive);
       }},
      {"group", count,
       [](auto& c, auto& b, auto n) {
         const std::array<TensorView, 2> tensors{TensorView(b.out.first(n / 3)), TensorView(b.out.subspan(n / 3, n))};
         return c.all_reduce_group_async(tensors);
       },
       [](auto& c, auto& b, auto n) {
         const std::array<TensorView, 2> tensors{TensorView(b.out.first(n / 3)), TensorView(b.out.subspan(n / 3, n))};
         c.all_reduce_group(tensors);
       }},
      {"pre-multiplied all_reduce", count,
       [](auto& c, auto& b, auto n) { return c.all_reduce_async(b.out.first(n), premultiplied_sum(0.5)); },
       [](auto& c, auto& b, auto n) { c.all_reduce(b.out.first(n), premultiplied_sum(0.5)); }},
      {"barrier", 0, [](auto& c, auto&, auto) { return c.barrier_async(); }, [](auto& c, auto&, auto) { c.barrier(); }},
      {"send and receive round the ranks", count,
       [](auto& c, auto& b, auto n) {
         // The receive is the handle; the send to the next rank ends here.
         Work incoming = c.recv_async(TensorView(b.out.first(n)), (c.rank() + ranks - 1) % ranks);
         Work outgoing = c.send_async(ConstTensorView(b.in.first(n)), (c.rank() + 1) % ranks);
         outgoing.wait();
         return incoming;
       },
       [](auto& c, auto& b, auto n) {
         Work incoming = c.recv_async(TensorView(b.out.first(n)), (c.rank() + ranks - 1) % ranks);
         c.send(ConstTensorView(b.in.first(n)), (c.rank() + 1) % ranks);
         incoming.wait();
       }},
  };
}

/// Until every other thread of this process sleeps, or 10 s have passed: a watcher that was woken while the world opened
/// may not have run yet on a busy machine, and what it then does belongs to no operation.
bool others_sleep() {
  const auto self = std::to_string(::gettid());
  for (int attempt = 0; attempt < 10000; ++attempt) {
    bool all = true;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      if (task.path().filename() == self) continue;
      std::ifstream file(task.path() / "stat");
      const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      const auto name_end = text.rfind(')');
      all &= name_end != std::string::npos && text.substr(name_end, 3) == ") S";
    }
    if (all) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

/// What a shape's 2nd to last operation did that it must not; empty if nothing.
struct Verdicts {
  std::mutex mutex;
  std::vector<std::string> texts;
};

/// A rank that fails must not keep the others at the barrier.
class LeaveOnFailure {
 public:
  explicit LeaveOnFailure(std::barrier<>& together) : together_(together) {}
  ~LeaveOnFailure() {
    if (std::uncaught_exceptions() > before_) together_.arrive_and_drop();
  }
  LeaveOnFailure(const LeaveOnFailure&) = delete;
  LeaveOnFailure& operator=(const LeaveOnFailure&) = delete;

 private:
  std::barrier<>& together_;
  int before_ = std::uncaught_exceptions();
};

}  // namespace

TEST_CASE("the counter of forbidden calls counts") {
  testing::arm_forbidden_calls();
  void* volatile kept = std::malloc(10);  // volatile: a pair whose result nobody sees may be left out by the compiler
  std::free(kept);
  int* volatile element = new int(1);
  delete element;
  std::mutex mutex;
  { const std::lock_guard lock(mutex); }
  const auto counted = testing::disarm_forbidden_calls();
  REQUIRE(counted.heap == 4);
  REQUIRE(counted.mutex == 1);
  REQUIRE(!testing::first_forbidden_call().empty());
}

TEST_CASE("from the 2nd to the 1000th operation of a shape nothing touches the heap, a mutex or the log") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const bool arena = GENERATE(true, false);
  const std::size_t in_flight = GENERATE(1u, 8u);
  CAPTURE(transport, arena, in_flight);

  std::atomic<int> logged{0};
  std::atomic<int> measured{0}, restless{0};
  Verdicts verdicts;
  std::barrier together(ranks);
  testing::run_ranks(
      ranks,
      [&](World& world) {
        auto communicator = world.communicator();
        const LeaveOnFailure leave(together);
        // Small ones travel with their header; large ones are offered, lent or streamed; of the largest a few, in segments.
        for (const std::size_t count : {std::size_t{5}, std::size_t{7000}, std::size_t{600000}}) {
          const int repetitions = count > 100000 ? 12 : count > 1000 ? operations / 5 : operations;
          const auto arena_memory = world.memory().allocate<float>((in_flight + 1) * ranks * count);
          std::vector<float> foreign_memory(arena ? 0 : (in_flight + 1) * ranks * count);
          const std::span<float> memory = arena ? arena_memory.as<float>() : std::span<float>(foreign_memory);
          std::vector<Buffers> buffers;
          for (std::size_t i = 0; i < in_flight; ++i) {
            buffers.push_back({memory.first(ranks * count), memory.subspan((i + 1) * ranks * count, ranks * count)});
          }
          for (const auto& shape : shapes_of(count)) {
            shape.call(communicator, buffers[0], shape.count);  // the first
            together.arrive_and_wait();
            if (world.rank() == 0) {
              restless += !others_sleep();
              logged = 0;
              testing::arm_forbidden_calls();
            }
            together.arrive_and_wait();
            if (in_flight == 1) {
              for (int i = 1; i < repetitions; ++i) shape.call(communicator, buffers[0], shape.count);
            } else {
              std::array<Work, 8> works;
              for (int i = 1; i < repetitions; ++i) {
                auto& slot = works[static_cast<std::size_t>(i) % in_flight];
                slot.wait();
                slot = shape.issue(communicator, buffers[static_cast<std::size_t>(i) % in_flight], shape.count);
              }
              for (auto& work : works) work.wait();
            }
            together.arrive_and_wait();
            if (world.rank() == 0) {
              const auto calls = testing::disarm_forbidden_calls();
              ++measured;
              if (calls.heap + calls.mutex != 0 || logged != 0) {
                const std::lock_guard lock(verdicts.mutex);
                verdicts.texts.push_back(std::string(shape.name) + " of " + std::to_string(shape.count) + ": heap " +
                                         std::to_string(calls.heap) + ", mutex " + std::to_string(calls.mutex) +
                                         ", log " + std::to_string(logged) + ", first at\n" +
                                         testing::first_forbidden_call());
              }
            }
            together.arrive_and_wait();
          }
        }
      },
      {.transport = transport,
       .world = {.arena_reserve = Bytes{std::uint64_t{2} << 30},
                 .log = Log(LogLevel::debug, [&](LogLevel, std::string_view) { ++logged; })}});
  std::string all;
  for (const auto& text : verdicts.texts) all += text + "\n";
  INFO(all);
  REQUIRE(verdicts.texts.empty());
  REQUIRE(measured == 3 * static_cast<int>(shapes_of(1).size()));
  REQUIRE(restless == 0);
}

TEST_CASE("from its 2nd time on an all_reduce by groups touches neither the heap nor a mutex") {
  constexpr int members = 4;
  constexpr std::size_t count = 300'000;
  std::barrier together(members);
  testing::ForbiddenCalls calls{};
  testing::run_ranks(members,
                     [&](World& world) {
                       auto communicator = world.communicator();
                       const LeaveOnFailure leave(together);
                       const auto memory = world.memory().allocate<float>(2 * count);
                       const auto in = memory.as<float>().first(count), out = memory.as<float>().subspan(count);
                       const auto call = [&] {
                         communicator.all_reduce(ConstTensorView(in), TensorView(out));
                         communicator.all_reduce_async(out, average).wait();
                       };
                       call();
                       together.arrive_and_wait();
                       if (world.rank() == 0) {
                         others_sleep();
                         testing::arm_forbidden_calls();
                       }
                       together.arrive_and_wait();
                       for (int i = 0; i < 30; ++i) call();
                       together.arrive_and_wait();
                       if (world.rank() == 0) calls = testing::disarm_forbidden_calls();
                       together.arrive_and_wait();
                     },
                     {.cache_groups = comm::CacheGroups{.domain_of = {0, 0, 1, 1}}});
  INFO(testing::first_forbidden_call());
  REQUIRE(calls.heap == 0);
  REQUIRE(calls.mutex == 0);
}
