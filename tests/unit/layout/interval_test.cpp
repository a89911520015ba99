// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/interval.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <limits>

namespace trireme::layout {

TEST_CASE("Pieces of an interval cover it in order and differ by at most one element") {
  for (std::size_t size : {0u, 1u, 2u, 7u, 64u, 1001u}) {
    for (std::size_t parts : {1u, 2u, 3u, 7u, 8u, 100u}) {
      Interval whole{13, 13 + size};
      std::size_t begin = whole.begin;
      for (std::size_t i = 0; i < parts; ++i) {
        Interval part = piece(whole, parts, i);
        REQUIRE(part.begin == begin);
        REQUIRE((part.size() == size / parts || part.size() == size / parts + 1));
        begin = part.end;
      }
      REQUIRE(begin == whole.end);
    }
  }
}

TEST_CASE("Pieces are floor(i n / parts): 10 in 4 gives 2, 3, 2, 3") {
  REQUIRE(piece({0, 10}, 4, 0) == Interval{0, 2});
  REQUIRE(piece({0, 10}, 4, 1) == Interval{2, 5});
  REQUIRE(piece({0, 10}, 4, 2) == Interval{5, 7});
  REQUIRE(piece({0, 10}, 4, 3) == Interval{7, 10});
}

TEST_CASE("The product inside multiply_divide does not overflow") {
  constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
  REQUIRE(multiply_divide(huge, 5, 5) == huge);
  REQUIRE(multiply_divide(huge, huge, huge) == huge);
  REQUIRE(multiply_divide(std::size_t{1} << 62, 3, 4) == (std::size_t{3} << 60));
}

}  // namespace trireme::layout
