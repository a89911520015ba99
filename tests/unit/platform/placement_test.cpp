// SPDX-License-Identifier: Apache-2.0
#include "platform/placement.hpp"

#include <catch2/catch.hpp>

#include <sched.h>

using trireme::platform::Placement;
using trireme::platform::probe_placement;

TEST_CASE("Near are two cores of one cache: no siblings of a core, no cores of two caches") {
  CHECK(Placement{.handoff_ns = 60, .copy_slowdown = 1.0}.is_near());
  CHECK_FALSE(Placement{.handoff_ns = 25, .copy_slowdown = 1.6}.is_near());
  CHECK_FALSE(Placement{.handoff_ns = 60, .copy_slowdown = 1.6}.is_near());
  CHECK_FALSE(Placement{.handoff_ns = 250, .copy_slowdown = 1.0}.is_near());
}

TEST_CASE("Looking at the processors leaves the thread where it may run") {
  cpu_set_t before, after;
  REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  const auto placement = probe_placement();
  REQUIRE(::sched_getaffinity(0, sizeof after, &after) == 0);
  CHECK(CPU_EQUAL(&before, &after));
  CHECK(placement.has_value() == (CPU_COUNT(&before) >= 2));
  if (placement) CHECK(placement->handoff_ns > 0);
}

TEST_CASE("On one processor there is nothing to look at") {
  cpu_set_t before, one;
  REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  CPU_ZERO(&one);
  for (int processor = 0; CPU_COUNT(&one) == 0; ++processor) {
    if (CPU_ISSET(processor, &before)) CPU_SET(processor, &one);
  }
  REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  const bool looked = probe_placement().has_value();
  REQUIRE(::sched_setaffinity(0, sizeof before, &before) == 0);
  CHECK_FALSE(looked);
}
