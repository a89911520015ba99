// SPDX-License-Identifier: Apache-2.0
#include "ps/push_lead.hpp"

#include <catch2/catch.hpp>

#include <chrono>

using namespace trireme;
using ps::PushLead;
using namespace std::chrono_literals;

namespace {

/// The moment `after` some beginning.
PushLead::Clock::time_point moment(std::chrono::milliseconds after) {
  return PushLead::Clock::time_point{} + 1h + after;
}

}  // namespace

TEST_CASE("A worker has no more under way than its lead, and one push whatever its size") {
  const PushLead lead(1000, 1000);
  CHECK(lead.admits(0, 5000));
  CHECK(lead.admits(400, 600));
  CHECK_FALSE(lead.admits(400, 601));
  CHECK_FALSE(lead.admits(1, 1000));
}

TEST_CASE("Pushes that wait for a lead where nothing is done make it twice as long, and again") {
  PushLead lead(1000, 1000);
  CHECK_FALSE(lead.look_again_at());
  CHECK_FALSE(lead.is_blocked(moment(0ms)));
  CHECK(lead.look_again_at() == moment(PushLead::patience));
  lead.done(1, moment(100ms));  // whoever waits in a job that goes on waits without effect
  CHECK_FALSE(lead.is_blocked(moment(PushLead::patience)));
  CHECK(lead.is_blocked(moment(PushLead::patience + 100ms)));
  CHECK(lead.bytes() == 2000);
  CHECK_FALSE(lead.is_blocked(moment(PushLead::patience + 101ms)));
  CHECK(lead.is_blocked(moment(2 * PushLead::patience + 100ms)));
  CHECK(lead.bytes() == 4000);
  lead.is_open();
  CHECK_FALSE(lead.look_again_at());
}

TEST_CASE("A lead that has grown goes back to what it was, a half at a time, and no further") {
  PushLead lead(1000, 1000);
  lead.is_blocked(moment(0ms));
  CHECK(lead.is_blocked(moment(PushLead::patience)));
  lead.is_open();
  auto now = moment(PushLead::patience);
  now += PushLead::memory - 1ms;
  CHECK_FALSE(lead.is_blocked(now));
  CHECK(lead.bytes() == 2000);
  for (int i = 0; i < 3; ++i) {
    lead.is_open();
    now += PushLead::memory;
    CHECK_FALSE(lead.is_blocked(now));
    CHECK(lead.bytes() == 1000);
  }
}

TEST_CASE("A lead is what was done lately in its span of time, within its bounds") {
  PushLead lead(1000, 4000);
  auto now = moment(0ms);
  lead.done(1, now);
  CHECK(lead.bytes() == 1000);
  const auto at_rate = [&](std::uint64_t bytes_in_span) {
    for (int i = 0; i < 5; ++i) {
      now += PushLead::span / 5;
      lead.done(bytes_in_span / 5, now);
    }
    return lead.bytes();
  };
  CHECK(at_rate(2500) == 2500);
  CHECK(at_rate(500) == 1000);
  CHECK(at_rate(1'000'000) == 4000);
  now += 1h;  // between two steps: the first push after it tells no speed
  at_rate(3000);
  CHECK(at_rate(3000) == 3000);
}

TEST_CASE("A lead that has doubled keeps that when the speed changes") {
  PushLead lead(1000, 4000);
  lead.is_blocked(moment(0ms));
  CHECK(lead.is_blocked(moment(PushLead::patience)));
  CHECK(lead.bytes() == 2000);
  lead.done(1, moment(1000ms));
  lead.done(3000, moment(1000ms + PushLead::span));
  CHECK(lead.bytes() == 6000);
}
