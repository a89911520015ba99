// SPDX-License-Identifier: Apache-2.0
#include "support/device_under_test.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

using namespace trireme;

namespace {

/// Holds a stream up until it is opened.
struct Gate {
  std::atomic<bool> open{false};
  static void pass(void* gate) noexcept {
    while (!static_cast<Gate*>(gate)->open.load()) std::this_thread::yield();
  }
};

void count_one(void* count) noexcept { static_cast<std::atomic<int>*>(count)->fetch_add(1); }

}  // namespace

TEST_CASE("an event that is recorded again means the later place") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    Gate gate;
    const device::OwnedStream stream(runtime, 0), other(runtime, 0);
    device::OwnedEvent event(runtime, 0);
    event.record(stream.get());
    runtime->await(event.get());
    CHECK(event.passed());
    runtime->call(&Gate::pass, &gate, stream.get());
    event.record(stream.get());
    CHECK_FALSE(event.passed());
    std::atomic<int> behind{0};
    event.hold(other.get());
    runtime->call(&count_one, &behind, other.get());
    CHECK(behind == 0);
    gate.open = true;
    other.synchronize();
    CHECK(behind == 1);
    CHECK(event.passed());
  }
}

TEST_CASE("what waits for an event waits for the place it then meant, whatever is recorded later") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    Gate gate;
    const device::OwnedStream first(runtime, 0), second(runtime, 0);
    device::OwnedEvent event(runtime, 0);
    event.record(first.get());
    event.hold(second.get());
    runtime->call(&Gate::pass, &gate, first.get());
    event.record(first.get());
    second.synchronize();  // would not return if it waited for the gate
    CHECK_FALSE(event.passed());
    gate.open = true;
    first.synchronize();
    CHECK(event.passed());
  }
}

TEST_CASE("a stream that is destroyed still runs what it was given") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    std::atomic<int> count{0};
    device::OwnedEvent last(runtime, 0);
    const device::Buffer buffer(runtime, 0, 4096);
    {
      const device::OwnedStream stream(runtime, 0);
      for (int i = 0; i < 20; ++i) {
        runtime->fill(buffer.data(), std::byte(i), 4096, stream.get());
        runtime->call(&count_one, &count, stream.get());
      }
      last.record(stream.get());
    }
    runtime->await(last.get());
    CHECK(count == 20);
    const device::OwnedStream stream(runtime, 0);
    CHECK(testing::to_host<std::byte>(*runtime, buffer.data(), 4096, stream.get()).back() == std::byte{19});
  }
}

TEST_CASE("threads use a runtime at once, each its own streams and memory") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        const device::OwnedStream stream(runtime, 0);
        for (int round = 0; round < 5; ++round) {
          const device::Buffer buffer(runtime, 0, 1000);
          const auto value = std::byte(16 * t + round);
          runtime->fill(buffer.data(), value, 1000, stream.get());
          if (testing::to_host<std::byte>(*runtime, buffer.data(), 1000, stream.get()).back() == value) ++right;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(right == 20);
  }
}

TEST_CASE("no stream is not a stream") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::Buffer buffer(runtime, 0, 16);
    const Stream none{{DeviceKind::cuda, 0}, nullptr};
    CHECK_THROWS_WITH(runtime->fill(buffer.data(), std::byte{}, 16, none), Catch::Contains("no default stream"));
    CHECK_THROWS_WITH(runtime->synchronize(none), Catch::Contains("no default stream"));
    CHECK_THROWS_WITH(runtime->begin_capture(none), Catch::Contains("no default stream"));
    CHECK_NOTHROW(runtime->destroy(none));
  }
}
