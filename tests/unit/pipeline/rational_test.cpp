// SPDX-License-Identifier: Apache-2.0
#include "trireme/pipeline/rational.hpp"

#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <limits>

using namespace trireme;
using pipeline::Rational;

TEST_CASE("rational numbers are exact, in lowest terms and ordered") {
  CHECK(Rational(6, -4) == Rational(-3, 2));
  CHECK(Rational(1, 3) + Rational(1, 6) == Rational(1, 2));
  CHECK(Rational(1, 3) - 1 == Rational(-2, 3));
  CHECK(Rational(2, 3) * Rational(3, 4) == Rational(1, 2));
  CHECK(Rational(2, 3) / 4 == Rational(1, 6));
  CHECK(Rational(1, 3) < Rational(1, 2));
  CHECK(Rational(-1, 2) < 0);
  CHECK(to_string(Rational(8, 4)) == "2");
  CHECK(to_string(Rational(3, 4)) == "3/4");
  CHECK(Rational(3, 4).approximately() == 0.75);
}

TEST_CASE("a rational number that cannot be is refused, and one that is too long") {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  CHECK(testing::code_of([] { Rational(1, 0); }) == ErrorCode::invalid_argument);
  CHECK(testing::code_of([] { (void)(Rational(1) / 0); }) == ErrorCode::invalid_argument);
  CHECK(testing::has(testing::error_of([] { (void)(Rational(most) + 1); }).message, "63 bits"));
  CHECK(testing::code_of([] { (void)(Rational(1, most) * Rational(1, 2)); }) == ErrorCode::invalid_argument);
  CHECK_FALSE(Rational(most) < Rational(most, 1) + 0);
}
