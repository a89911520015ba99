// SPDX-License-Identifier: Apache-2.0
#include "kernels/scalar/scalar.hpp"

#include <catch2/catch.hpp>

#include <cmath>

using namespace trireme::kernels;

TEST_CASE("power, exp, log and cos of plain arithmetic are those of the C library to some units in the last place") {
  for (int n = 0; n < 2000; ++n) {
    const double x = static_cast<double>(n) / 7.0;
    CAPTURE(x);
    REQUIRE(exponential(-x) == Approx(std::exp(-x)).epsilon(1e-15));
    REQUIRE(logarithm(1.0 + x) == Approx(std::log(1.0 + x)).epsilon(1e-15).margin(1e-16));
    REQUIRE(negative_power(1.0 + x, -0.8) == Approx(std::pow(1.0 + x, -0.8)).epsilon(1e-14));
    REQUIRE(power(0.999, static_cast<std::uint64_t>(n)) == Approx(std::pow(0.999, n)).epsilon(1e-12));
    const double turn = static_cast<double>(n) / 1999.0;
    REQUIRE(std::fabs(cosine_of_half_turns(turn) - std::cos(std::acos(-1.0) * turn)) < 1e-15);
  }
  REQUIRE(cosine_of_half_turns(0.0) == 1.0);
  REQUIRE(cosine_of_half_turns(0.5) == 0.0);
  REQUIRE(cosine_of_half_turns(1.0) == -1.0);
  REQUIRE(exponential(0.0) == 1.0);
  REQUIRE(exponential(-1e9) == 0.0);
  REQUIRE(power(0.0, 0) == 1.0);
}
