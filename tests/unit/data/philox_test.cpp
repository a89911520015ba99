// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/philox.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

using namespace trireme::data;

TEST_CASE("Philox 4x32-10 gives the published words") {
  // The known answers that the authors publish with Random123.
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox4x32({0, 0, 0, 0}, 0) == Words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  CHECK(philox4x32({~0u, ~0u, ~0u, ~0u}, ~std::uint64_t{0}) ==
        Words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  CHECK(philox4x32({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, 0x299f31d0a4093822u) ==
        Words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
  static_assert(philox4x32({0, 0, 0, 0}, 0)[0] == 0x6627e8d5u);
}

TEST_CASE("philox_at numbers the words of 64 bits, two to a block: these values never change") {
  // The first two are the first published answer; all of them computed by another program.
  CHECK(philox_at(0, 0) == 0xe169c58d6627e8d5u);
  CHECK(philox_at(0, 1) == 0x9b00dbd8bc57ac4cu);
  CHECK(philox_at(0, 2) == 0x5cb200dbf8e4cca4u);
  CHECK(philox_at(0, 3) == 0x097eff67b1a574ebu);
  constexpr std::uint64_t key = 0x299f31d0a4093822u;
  CHECK(philox_at(key, std::uint64_t{1} << 33) == 0x943d4235a7a593ceu);  // the counter's second word begins
  CHECK(philox_at(key, (std::uint64_t{1} << 33) + 1) == 0x373b1cf3c02b96a3u);
  CHECK(philox_at(key, ~std::uint64_t{0}) == 0xdcaa59ffcce85346u);
  static_assert(philox_at(0, 0) == 0xe169c58d6627e8d5u);
}

TEST_CASE("a pair and a stream of Philox are the words that philox_at names") {
  for (const std::uint64_t key : {0u, 1u, 77u}) {
    PhiloxStream stream(key);
    for (std::uint64_t b = 0; b < 50; ++b) {
      const auto pair = philox_pair(key, b);
      for (std::uint64_t j = 0; j < 2; ++j) {
        REQUIRE(pair[j] == philox_at(key, 2 * b + j));
        REQUIRE(stream.next() == pair[j]);
      }
    }
  }
}

TEST_CASE("below gives every value under its bound and none above, about equally often") {
  PhiloxStream random(7);
  for (int i = 0; i < 100; ++i) REQUIRE(random.below(1) == 0);
  std::vector<int> histogram(6);
  for (int i = 0; i < 60000; ++i) ++histogram.at(random.below(6));
  for (int count : histogram) CHECK(std::abs(count - 10000) < 500);  // over five standard deviations
  // A bound just above 2^31 rejects almost half of the draws; the halves stay balanced.
  int upper = 0;
  const std::uint32_t bound = 0x80000001u;
  for (int i = 0; i < 10000; ++i) {
    const std::uint32_t value = random.below(bound);
    REQUIRE(value < bound);
    upper += value >= bound / 2 ? 1 : 0;
  }
  CHECK(std::abs(upper - 5000) < 300);
}

TEST_CASE("below takes the documented words: these values never change") {
  // Computed by another program; 5 words were rejected on the way.
  PhiloxStream random(7);
  for (const std::uint32_t expected : {1610939630u, 2056976211u, 537146807u, 298554319u, 2125135719u, 722068696u})
    CHECK(random.below(0x80000001u) == expected);
  PhiloxStream words(7);
  for (int i = 0; i < 11; ++i) words.next();
  CHECK(random.next() == words.next());
}
