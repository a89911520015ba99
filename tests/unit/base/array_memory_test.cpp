// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/array_memory.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <span>
#include <utility>

using trireme::ArrayMemory;

TEST_CASE("Memory of an array is zeroed and begins at a cache line, and moves without moving") {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{64}, std::size_t{1000}, (std::size_t{1} << 20) - 1,
                                  std::size_t{1} << 20, (std::size_t{5} << 20) + 3}) {
    CAPTURE(bytes);
    ArrayMemory memory(bytes);
    std::byte* const data = memory.data();
    CHECK(memory.size() == bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(data) % ArrayMemory::alignment == 0);
    const std::span all(data, bytes);
    CHECK(std::all_of(all.begin(), all.end(), [](std::byte each) { return each == std::byte{0}; }));
    std::fill(all.begin(), all.end(), std::byte{0xff});
    ArrayMemory moved(std::move(memory));
    CHECK(memory.data() == nullptr);  // NOLINT(bugprone-use-after-move): that is what is tested
    CHECK(memory.size() == 0);
    CHECK(moved.data() == data);
    memory = std::move(moved);
    CHECK(memory.data() == data);
    CHECK(memory.size() == bytes);
  }
}

TEST_CASE("Memory of no bytes is none, and more than there can be is refused") {
  CHECK(ArrayMemory().data() == nullptr);
  CHECK(ArrayMemory(0).data() == nullptr);
  CHECK_THROWS_AS(ArrayMemory(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
  CHECK_THROWS_AS(ArrayMemory(std::numeric_limits<std::size_t>::max() / 2 + 1), std::bad_alloc);
}

TEST_CASE("Huge pages may be asked for wherever memory lies, also where no whole one fits") {
  ArrayMemory memory(std::size_t{6} << 20);
  for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, std::size_t{4095}, std::size_t{3} << 20}) {
    trireme::ask_for_huge_pages(memory.data() + offset, 100);
    trireme::ask_for_huge_pages(memory.data() + offset, (std::size_t{6} << 20) - offset);
  }
  trireme::ask_for_huge_pages(nullptr, 0);
  CHECK(std::all_of(memory.data(), memory.data() + memory.size(), [](std::byte each) { return each == std::byte{0}; }));
}
