// SPDX-License-Identifier: Apache-2.0
#include "trireme/world/run_ranks.hpp"
#include "unit/comm/scripted_engine.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <barrier>
#include <chrono>
#include <thread>

using namespace trireme;
using namespace std::chrono_literals;
using testing::Scripted;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

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
