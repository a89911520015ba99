// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/comm/scripted_engine.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <time.h>

using namespace trireme;
using namespace std::chrono_literals;
using testing::Scripted;

using testing::has;

TEST_CASE("two threads that issue at the same time on one communicator are told so") {
  Scripted scripted;
  scripted.script->finished = 100;
  std::atomic<bool> inside{false}, leave{false};
  scripted.script->on_start = [&](const comm::Operation& operation) {
    if (operation.sequence != 0) return;
    inside = true;
    while (!leave) std::this_thread::yield();
  };
  std::thread first([&] { scripted.communicator().barrier(); });
  while (!inside) std::this_thread::yield();
  std::string message;
  try {
    scripted.communicator().barrier();
  } catch (const Exception& caught) {
    if (caught.error().code == ErrorCode::invalid_argument) message = caught.error().message;
  }
  leave = true;
  first.join();
  CAPTURE(message);
  REQUIRE(has(message, "two threads"));
  REQUIRE(has(message, "split"));
  REQUIRE_NOTHROW(scripted.communicator().barrier());  // one after the other is fine
}

TEST_CASE("any thread may wait for an operation another has issued") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "tcp");
  std::atomic<int> right{0};
  testing::run_ranks(2,
                     [&](World& world) {
                       std::vector<float> data(30000, static_cast<float>(world.rank() + 1));
                       Work work = world.communicator().all_reduce_async(std::span(data));
                       std::thread waiter([&right, &data, moved = std::move(work)]() mutable {
                         moved.wait();
                         right += std::all_of(data.begin(), data.end(), [](float x) { return x == 3.0f; });
                       });
                       waiter.join();
                     },
                     {.transport = transport});
  REQUIRE(right == 2);
}

TEST_CASE("threads that wait for different communicators of one world help each other") {
  std::atomic<int> right{0};
  testing::run_ranks(2, [&](World& world) {
    auto one = world.communicator();
    auto two = *one.split(0);
    std::vector<std::thread> threads;
    for (auto* communicator : {&one, &two}) {
      threads.emplace_back([&right, communicator] {
        std::vector<float> data(20000);
        for (int i = 0; i < 20; ++i) {
          std::fill(data.begin(), data.end(), 1.0f);
          communicator->all_reduce(std::span(data));
          right += data.front() == 2.0f && data.back() == 2.0f;
        }
      });
    }
    for (auto& thread : threads) thread.join();
  });
  REQUIRE(right == 2 * 2 * 20);
}

TEST_CASE("with a progress thread operations end while no caller drives, without one they do not") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const bool progress_thread = GENERATE(true, false);
  CAPTURE(transport, progress_thread);
  // The flight recorder tells from outside, without moving anything, whether an operation has ended.
  const auto done = [](const Communicator& communicator) {
    return has(communicator.flight_recorder_json(), "\"outcome\": \"done\"");
  };
  std::atomic<int> ended{0}, right{0};
  std::barrier together(2);
  testing::run_ranks(2,
                     [&](World& world) {
                       auto communicator = world.communicator();
                       std::vector<float> data(100000, 1.0f);
                       Work work = communicator.all_reduce_async(std::span(data));
                       together.arrive_and_wait();  // issued by both
                       for (int i = 0; i < (progress_thread ? 20000 : 50) && !done(communicator); ++i)
                         std::this_thread::sleep_for(1ms);
                       ended += done(communicator);
                       together.arrive_and_wait();  // nobody drives before both have looked
                       work.wait();
                       right += data.front() == 2.0f && data.back() == 2.0f;
                     },
                     {.transport = transport, .world = {.progress_thread = progress_thread}});
  REQUIRE(ended == (progress_thread ? 2 : 0));
  REQUIRE(right == 2);
}

TEST_CASE("closing from under a waiting thread ends its wait with closed") {
  std::atomic<int> closed{0};
  std::atomic<bool> over{false};
  testing::run_ranks(2, [&](World& world) {
    std::vector<float> data(10);
    auto communicator = world.communicator();
    communicator.barrier();
    if (world.rank() == 1) {
      while (!over) std::this_thread::sleep_for(1ms);
      return;
    }
    std::atomic<bool> started{false};
    std::thread waiter([&] {
      try {
        Work work = communicator.recv_async(TensorView(std::span(data)), 1);  // which never sends
        started = true;
        work.wait();
      } catch (const Exception& caught) {
        closed += caught.error().code == ErrorCode::closed && has(caught.error().message, "this world was closed");
      }
      started = true;
    });
    while (!started) std::this_thread::yield();
    world.close();
    waiter.join();
    over = true;
  });
  REQUIRE(closed == 1);
}

TEST_CASE("communicators split off two communicators at the same time have different ids and do not meet") {
  std::atomic<int> same{0}, right{0};
  constexpr int rounds = 60;
  testing::run_ranks(2, [&](World& world) {
    auto one = world.communicator();
    auto two = *one.split(0);
    const auto id_of = [](const Communicator& communicator) {
      const auto json = communicator.flight_recorder_json();
      const auto begin = json.find("\"communicator\": ");
      return json.substr(begin, json.find(',', begin) - begin);
    };
    std::vector<std::string> ids{id_of(one), id_of(two)};
    for (int round = 0; round < rounds; ++round) {
      std::array<std::optional<Communicator>, 2> parts;
      std::barrier together(2);
      std::vector<std::thread> threads;
      for (std::size_t i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] {
          together.arrive_and_wait();
          parts[i] = (i == 0 ? one : two).split(0);
          std::vector<float> data(100, i == 0 ? 1.0f : 5.0f);
          parts[i]->all_reduce(std::span(data));
          right += data.front() == (i == 0 ? 2.0f : 10.0f);
        });
      }
      for (auto& thread : threads) thread.join();
      for (const auto& part : parts) ids.push_back(id_of(*part));
    }
    std::sort(ids.begin(), ids.end());
    same += static_cast<int>(std::unique(ids.begin(), ids.end()) != ids.end());
  });
  REQUIRE(same == 0);
  REQUIRE(right == 2 * 2 * rounds);
}

TEST_CASE("a thread that waits while another drives the world sleeps") {
  Scripted scripted;
  auto communicator = scripted.communicator();
  std::array<float, 1> data{};
  Work collective = communicator.barrier_async();
  Work receive = communicator.recv_async(TensorView(std::span<float>(data)), 0);
  const auto cpu_used = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  std::array<std::chrono::nanoseconds, 2> used{};
  std::vector<std::thread> threads;
  std::array<Work*, 2> works{&collective, &receive};
  for (std::size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      const auto before = cpu_used();
      works[i]->wait_for(600ms);
      used[i] = cpu_used() - before;
    });
  }
  for (auto& thread : threads) thread.join();
  scripted.script->finished = 1;
  // Processor time, which a busy machine only makes less: one of the two used to take all of it.
  REQUIRE(used[0] < 300ms);
  REQUIRE(used[1] < 300ms);
}

TEST_CASE(
    "a thread that sleeps because another drives ends with its own operation, and drives when the other has left") {
  Scripted scripted;
  auto communicator = scripted.communicator();
  std::array<float, 1> data{};
  Work collective = communicator.barrier_async();
  Work second = communicator.barrier_async();
  Work receive = communicator.recv_async(TensorView(std::span<float>(data)), 0);
  std::atomic<int> ended{0};
  std::vector<std::thread> threads;
  for (Work* work : {&collective, &second, &receive}) {
    threads.emplace_back([&ended, work] { ended += work->wait_for(60s); });
  }
  std::this_thread::sleep_for(50ms);
  REQUIRE(ended == 0);
  scripted.script->finished = 1;
  while (ended < 2) std::this_thread::sleep_for(1ms);
  scripted.script->finished = 2;
  for (auto& thread : threads) thread.join();
  REQUIRE(ended == 3);
}

TEST_CASE("what was sent may be asked for while a progress thread sends") {
  std::atomic<int> right{0};
  testing::run_ranks(2,
                     [&](World& world) {
                       auto communicator = world.communicator();
                       std::vector<float> data(300000, 1.0f);
                       Work work = communicator.all_reduce_async(std::span(data));
                       std::uint64_t last = 0;
                       bool grows = true;
                       while (!has(communicator.flight_recorder_json(), "\"outcome\": \"done\"")) {
                         const auto now = communicator.payload_bytes_sent();
                         grows &= now >= last;
                         last = now;
                       }
                       work.wait();
                       right += grows && communicator.payload_bytes_sent() >= 4 * 300000u;
                     },
                     {.transport = "tcp", .world = {.progress_thread = true}});
  REQUIRE(right == 2);
}
