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
  const PushLead lead(1000);
  CHECK(lead.admits(0, 5000));
  CHECK(lead.admits(400, 600));
  CHECK_FALSE(lead.admits(400, 601));
  CHECK_FALSE(lead.admits(1, 1000));
}

TEST_CASE("Pushes that wait for a lead where nothing is done make it twice as long, and again") {
  PushLead lead(1000);
  CHECK_FALSE(lead.look_again_at());
  CHECK_FALSE(lead.is_blocked(moment(0ms)));
  CHECK(lead.look_again_at() == moment(PushLead::patience));
  lead.moves(moment(100ms));  // whoever waits in a job that goes on waits without effect
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
  PushLead lead(1000);
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
