// SPDX-License-Identifier: Apache-2.0
#include "models/initial.hpp"

#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cfenv>
#include <cstdint>
#include <span>
#include <vector>

using namespace trireme;
using models::set_initial;

TEST_CASE("Initial values are the documented function of seed, parameter and element: these never change") {
  std::vector<double> around_zero(13), around_centre(13);
  set_initial(std::span(around_zero), {.bound = 0.5}, 3, 5);
  set_initial(std::span(around_centre), {.bound = 0.3, .centre = 1.5}, 3, 5);
  struct Expected {
    std::size_t e;
    double around_zero;
    double around_centre;
  };
  // Computed by another program.
  for (const auto& [e, zero, centre] : {Expected{0, -0x1.5d441b2577c0ap-2, 0x1.4b9c2f20c7a32p+0},
                                        Expected{1, -0x1.bd56e7b2e8fa0p-3, 0x1.5e997b6c2e86ep+0},
                                        Expected{2, -0x1.0b9d66a04f57ap-2, 0x1.57db97018db2ep+0},
                                        Expected{11, 0x1.4de42600b7b98p-2, 0x1.b2156c19b528ap+0},
                                        Expected{12, 0x1.4f4edee8e8338p-3, 0x1.9925ea5177d0bp+0}}) {
    CAPTURE(e);
    CHECK(around_zero[e] == zero);
    CHECK(around_centre[e] == centre);
  }
}

TEST_CASE("Initial values do not depend on how the caller has numbers rounded") {
  std::vector<float> usual(100), upward(100);
  set_initial(std::span(usual), {.bound = 0.3, .centre = 1.5}, 3, 5);
  std::fesetround(FE_UPWARD);
  set_initial(std::span(upward), {.bound = 0.3, .centre = 1.5}, 3, 5);
  const bool kept = std::fegetround() == FE_UPWARD;
  std::fesetround(FE_TONEAREST);
  CHECK(kept);
  CHECK(usual == upward);
}

TEMPLATE_TEST_CASE("An initial value does not depend on how many there are, and what lies behind them is left alone",
                   "", float, double) {
  using T = TestType;
  constexpr T untouched = 77;
  for (std::size_t count = 0; count < 70; ++count) {
    std::vector<T> values(count + 1, untouched);
    set_initial(std::span(values).first(count), {.bound = 0.25, .centre = -2.0}, 9, 1);
    for (std::size_t e = 0; e < count; ++e) {
      const double u = data::unit_interval(data::philox_at(data::stream_key(9, 1), e));
      REQUIRE(values[e] == static_cast<T>(-2.0 + (2.0 * u - 1.0) * 0.25));
    }
    REQUIRE(values[count] == untouched);
  }
}

TEST_CASE("Without a bound every initial value is the centre") {
  std::vector<float> values(11, 5.0f);
  set_initial(std::span(values), {.centre = 0.1}, 9, 1);
  CHECK(std::all_of(values.begin(), values.end(), [](float value) { return value == 0.1f; }));
}
