// SPDX-License-Identifier: Apache-2.0
#include "device/kernel.hpp"
#include "support/device_under_test.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <memory>
#include <vector>

using namespace trireme;

TEST_CASE("a stream runs what it is given in order") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    const device::Buffer buffer(runtime, 0, 1000);
    runtime->fill(buffer.data(), std::byte{1}, 1000, stream.get());
    runtime->fill(buffer.data() + 500, std::byte{2}, 100, stream.get());
    const auto bytes = testing::to_host<std::byte>(*runtime, buffer.data(), 1000, stream.get());
    for (std::size_t i = 0; i < bytes.size(); ++i)
      REQUIRE(bytes[i] == (i >= 500 && i < 600 ? std::byte{2} : std::byte{1}));
  }
}

TEST_CASE("an event orders one stream behind another, without the host") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream first(runtime, 0), second(runtime, 0);
    const device::Buffer buffer(runtime, 0, 1 << 16);
    device::OwnedEvent written(runtime, 0);
    CHECK(written.passed());  // never recorded
    for (int round = 0; round < 20; ++round) {
      runtime->fill(buffer.data(), std::byte(round), 1 << 16, first.get());
      written.record(first.get());
      written.hold(second.get());
      const auto bytes = testing::to_host<std::byte>(*runtime, buffer.data(), 1 << 16, second.get());
      CHECK(bytes.front() == std::byte(round));
      CHECK(bytes.back() == std::byte(round));
      CHECK(written.passed());
    }
  }
}

TEST_CASE("the owner of memory is known") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::Buffer buffer(runtime, 0, 100);
    const device::PinnedBuffer pinned(runtime, 100);
    int on_the_stack = 0;
    CHECK(runtime->owner(buffer.data() + 99) == Device{DeviceKind::cuda, 0});
    CHECK(runtime->owner(pinned.data()) == std::nullopt);
    CHECK(runtime->owner(&on_the_stack) == std::nullopt);
  }
}

TEST_CASE("a device that is none is refused by its number") {
  const auto runtime = device::emulated_runtime({.devices = 2});
  CHECK_THROWS_WITH(runtime->allocate(2, 1), Catch::Contains("no emulated device 2"));
  CHECK_THROWS_WITH(runtime->make_stream(-1), Catch::Contains("no emulated device -1"));
}

TEST_CASE("what a captured stream was given runs when the graph is launched, as often as it is") {
  const auto runtime = device::emulated_runtime();
  const device::OwnedStream stream(runtime, 0);
  device::PinnedBuffer counter(runtime, sizeof(int));
  *reinterpret_cast<int*>(counter.data()) = 0;
  runtime->begin_capture(stream.get());
  runtime->call([](void* count) noexcept { ++*static_cast<int*>(count); }, counter.data(), stream.get());
  CHECK(runtime->capturing(stream.get()));
  void* graph = runtime->end_capture(stream.get());
  stream.synchronize();
  CHECK(*reinterpret_cast<int*>(counter.data()) == 0);
  for (int i = 0; i < 3; ++i) runtime->launch_graph(graph, stream.get());
  stream.synchronize();
  CHECK(*reinterpret_cast<int*>(counter.data()) == 3);
  runtime->destroy_graph(graph);
}

TEST_CASE("emulated threads of a block run each once, in an order of the seed's") {
  for (const unsigned count : {1u, 2u, 96u, 256u, 1024u}) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      const auto order = device::detail::ThreadOrder::of(count, seed * 0x9e3779b97f4a7c15u);
      std::vector<bool> seen(count, false);
      for (unsigned k = 0; k < count; ++k) {
        REQUIRE(order(k) < count);
        REQUIRE_FALSE(seen[order(k)]);
        seen[order(k)] = true;
      }
    }
  }
}
