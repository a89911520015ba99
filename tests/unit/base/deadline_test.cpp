// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/deadline.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace std::chrono_literals;

TEST_CASE("a deadline passes when its moment comes, never when there is none") {
  const auto now = Deadline::Clock::now();
  REQUIRE(Deadline::at(now - 1s).passed());
  REQUIRE(Deadline::at(now).passed());
  REQUIRE(Deadline::at({}).passed());
  REQUIRE(!Deadline::at(now + 1h).passed());
  REQUIRE(!Deadline::after(1h).passed());
  REQUIRE(Deadline::after(0s).passed());
  REQUIRE(!Deadline::never().passed());
  REQUIRE(Deadline::never().is_never());
  REQUIRE(!Deadline::after(1h).is_never());
  REQUIRE(Deadline::at(now).moment() == now);
}

TEST_CASE("the time left fits poll(2): rounded up, never negative, never above the limit") {
  const auto now = Deadline::Clock::now();
  REQUIRE(Deadline::at(now - 1s).milliseconds_left() == 0);
  REQUIRE(Deadline::at({}).milliseconds_left() == 0);
  REQUIRE(Deadline::at(now + 1h).milliseconds_left() == 1000);
  REQUIRE(Deadline::at(now + 1h).milliseconds_left(50) == 50);
  REQUIRE(Deadline::never().milliseconds_left() == 1000);
  REQUIRE(Deadline::never().milliseconds_left(7) == 7);
  // Rounded down, the last fraction of a millisecond would be a busy loop.
  const int left = Deadline::after(999us).milliseconds_left();
  REQUIRE((left == 1 || left == 0));  // 0 only if the machine took that long
  const Deadline soon = Deadline::after(30s);
  REQUIRE(soon.milliseconds_left(100000) > 0);
  REQUIRE(soon.milliseconds_left(100000) <= 30000);
}
