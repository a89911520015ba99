// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/fold_device.hpp"
#include "support/device_under_test.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <numeric>
#include <vector>

using namespace trireme;

namespace {

std::vector<std::uint32_t> counting(std::size_t count, std::uint32_t first) {
  std::vector<std::uint32_t> words(count);
  std::iota(words.begin(), words.end(), first);
  return words;
}

}  // namespace

TEST_CASE("bytes are the same after a copy in any direction, of any length and alignment") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    const auto words = counting(5000, 17);
    for (const std::size_t count : {1u, 3u, 64u, 1023u, 4999u}) {
      const std::size_t bytes = count * 4;
      const device::Buffer first(runtime, 0, bytes + 4), second(runtime, 0, bytes);
      const device::PinnedBuffer pinned(runtime, bytes);
      runtime->copy(first.data() + 4, words.data(), bytes, stream.get());   // pageable to device
      runtime->copy(second.data(), first.data() + 4, bytes, stream.get());  // device to device
      runtime->copy(pinned.data(), second.data(), bytes, stream.get());     // device to pinned
      runtime->copy(first.data(), pinned.data(), bytes, stream.get());      // pinned to device
      const auto there = testing::to_host<std::uint32_t>(*runtime, first.data(), count, stream.get());
      CHECK(std::equal(there.begin(), there.end(), words.begin()));
    }
    runtime->copy(nullptr, nullptr, 0, stream.get());  // nothing is nothing
    stream.synchronize();
  }
}

TEST_CASE("memory goes from one device to another, whether or not they reach each other") {
  for (const auto& runtime : testing::runtimes_under_test(2)) {
    INFO(runtime->name());
    const auto words = counting(3000, 5);
    const device::OwnedStream stream(runtime, 1);
    const auto source = testing::on_device<std::uint32_t>(runtime, words, 0);
    const device::Buffer destination(runtime, 1, source.size_bytes());
    runtime->copy(destination.data(), source.data(), source.size_bytes(), stream.get());
    CHECK(testing::to_host<std::uint32_t>(*runtime, destination.data(), words.size(), stream.get()) == words);
    CHECK(runtime->owner(source.data()) == Device{DeviceKind::cuda, 0});
    CHECK(runtime->owner(destination.data()) == Device{DeviceKind::cuda, 1});
  }
}

TEST_CASE("devices that reach each other stay so when asked again, and a device reaches itself") {
  for (const auto& runtime : testing::runtimes_under_test(2)) {
    CHECK(runtime->reaches(0, 0));
    CHECK_NOTHROW(runtime->reach(0, 0));
    if (!runtime->reaches(0, 1)) continue;
    CHECK_NOTHROW(runtime->reach(0, 1));
    CHECK_NOTHROW(runtime->reach(0, 1));
  }
  const auto apart = device::emulated_runtime({.devices = 2, .peer_access = false});
  CHECK_FALSE(apart->reaches(0, 1));
  CHECK_THROWS_WITH(apart->reach(0, 1), Catch::Contains("devices 0 and 1 have no access to each other"));
}

TEST_CASE("kernels read and write pinned memory at the host's address") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    constexpr std::size_t count = 1000;
    const device::PinnedBuffer source(runtime, count * sizeof(float)), destination(runtime, count * sizeof(float));
    std::vector<float> registered(4096, -1.0f);
    runtime->pin(registered.data(), registered.size() * sizeof(float));
    auto* values = reinterpret_cast<float*>(source.data());
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
    kernels::scale(destination.data(), source.data(), DType::f32, 2.0, count, stream.queue());
    kernels::scale(registered.data() + 8, source.data(), DType::f32, 0.5, count, stream.queue());
    stream.synchronize();
    const auto* doubled = reinterpret_cast<const float*>(destination.data());
    for (std::size_t i = 0; i < count; ++i) {
      REQUIRE(doubled[i] == 2.0f * static_cast<float>(i));
      REQUIRE(registered[i + 8] == 0.5f * static_cast<float>(i));
    }
    CHECK(registered[7] == -1.0f);
    CHECK(registered[count + 8] == -1.0f);
    runtime->unpin(registered.data());
  }
}
