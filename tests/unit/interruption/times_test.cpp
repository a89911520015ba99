// SPDX-License-Identifier: Apache-2.0
#include "interruption/times.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::interruption;

namespace {

std::int64_t seconds_of(const std::optional<WallTime>& time) {
  REQUIRE(time.has_value());
  return time->time_since_epoch().count();
}

}  // namespace

TEST_CASE("Times are read in the two forms in which the clouds tell them") {
  CHECK(seconds_of(parse_iso_time("1970-01-01T00:00:00Z")) == 0);
  CHECK(seconds_of(parse_iso_time("2026-01-31T08:22:00Z")) == 1769847720);
  CHECK(seconds_of(parse_iso_time("2026-01-31T08:22:00.123Z")) == 1769847720);
  CHECK(seconds_of(parse_rfc1123_time("Sat, 31 Jan 2026 08:22:00 GMT")) == 1769847720);
  CHECK(seconds_of(parse_rfc1123_time("Thu, 29 Feb 2024 23:59:60 GMT")) == 1709251200);
}

TEST_CASE("What is no time is no time") {
  for (const char* text :
       {"", "2026", "2026-01-31", "2026-01-31T08:22:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
        "2026-01-31T24:00:00Z", "2026-01-31T08:22:00.Z", "2026-01-31T08:22:00Z ", "-026-01-31T08:22:00Z"})
    CHECK_FALSE(parse_iso_time(text).has_value());
  for (const char* text :
       {"", "Sat, 31 Jan 2026", "Sat, 31 Jun 2026 08:22:00 GMT", "Sat, 31 jan 2026 08:22:00 GMT",
        "Sat, 31 Jan 2026 08:22:00 UTC", "31 Jan 2026 08:22:00 GMT", "Sat, 31 Jan 2026 08:22:00 GMT+1"})
    CHECK_FALSE(parse_rfc1123_time(text).has_value());
}

TEST_CASE("A server that tells its clock is asked by it, however wrong ours is") {
  const Moment moment{.steady = {}, .wall = std::chrono::sys_seconds(std::chrono::seconds(1'000'000))};
  CHECK(clock_of({}, moment).time_since_epoch().count() == 1'000'000);
  CHECK(clock_of({.status = 200, .body = {}, .headers = {{"date", "yesterday"}}}, moment).time_since_epoch().count() ==
        1'000'000);
  CHECK(clock_of({.status = 200, .body = {}, .headers = {{"date", "Sat, 31 Jan 2026 08:22:00 GMT"}}}, moment)
            .time_since_epoch()
            .count() == 1769847720);
}

TEST_CASE("A deadline is fixed at first sight, within what is possible, until another thing is announced") {
  using std::chrono::seconds;
  FirstSight sight;
  Moment moment{.steady = std::chrono::steady_clock::time_point(seconds(100)), .wall = {}};
  CHECK(sight.deadline("a", moment, seconds(90), seconds(120)) == moment.steady + seconds(90));
  const Moment later{.steady = moment.steady + seconds(10), .wall = {}};
  CHECK(sight.deadline("a", later, seconds(90), seconds(120)) == moment.steady + seconds(90));
  CHECK(sight.deadline("b", later, seconds(5000), seconds(120)) == later.steady + seconds(120));
  CHECK(sight.deadline("c", later, seconds(-5000), seconds(120)) == later.steady);
}
