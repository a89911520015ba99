// SPDX-License-Identifier: Apache-2.0
#include "engines/mpi/blocks.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

using trireme::engines::mpi::Blocks;
using trireme::layout::Interval;

namespace {
std::byte* bytes_of(std::vector<std::uint16_t>& values) { return reinterpret_cast<std::byte*>(values.data()); }
}  // namespace

TEST_CASE("a vector is cut into blocks that differ by one element at most") {
  for (const std::size_t count : {0u, 1u, 3u, 4u, 11u}) {
    Blocks blocks(4);
    blocks.cut(count, 2);
    REQUIRE(blocks.begin(0) == 0);
    REQUIRE(blocks.begin(3) + blocks.size(3) == count);
    for (std::size_t r = 0; r < 4; ++r) {
      REQUIRE(blocks.size(r) <= (count + 3) / 4);
      REQUIRE(blocks.size(r) >= count / 4);
    }
    REQUIRE(blocks.message({0, count}) == 2 * count);
  }
}

TEST_CASE("what rounds pack and unpack is every block once, of equal and unequal sizes") {
  const std::array<std::size_t, 5> edges{0, 5, 5, 6, 13};
  for (const bool equal : {true, false}) {
    Blocks blocks(4);
    equal ? blocks.equal(4, sizeof(std::uint16_t)) : blocks.at(edges, sizeof(std::uint16_t));
    const std::size_t count = equal ? 16 : 13;
    std::vector<std::uint16_t> values(count), message(count), result(count);
    std::iota(values.begin(), values.end(), std::uint16_t{1});
    std::size_t moved = 0;
    for (std::size_t begin = 0; begin < blocks.largest(); begin += 3) {
      const Interval range{begin, begin + 3};
      const std::size_t bytes = blocks.message(range);
      for (std::size_t r = 0, place = 0; r < 4; ++r) {
        REQUIRE(blocks.place(r) == place);
        place += static_cast<std::size_t>(blocks.counts()[r]);
        REQUIRE(place <= bytes);
        REQUIRE(blocks.elements()[r] * static_cast<int>(sizeof(std::uint16_t)) == blocks.counts()[r]);
      }
      blocks.pack(bytes_of(values), range, bytes_of(message));
      blocks.unpack(bytes_of(message), range, bytes_of(result));
      moved += bytes;
    }
    REQUIRE(moved == count * sizeof(std::uint16_t));
    REQUIRE(result == values);
    REQUIRE(blocks.whole({0, blocks.largest()}));
    REQUIRE_FALSE(blocks.whole({0, blocks.largest() - 1}));
    REQUIRE_FALSE(blocks.whole({1, blocks.largest()}));
  }
}
