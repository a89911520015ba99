// SPDX-License-Identifier: Apache-2.0
#include "net/resolve.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <thread>

using namespace trireme;
using namespace trireme::net;
using std::chrono::milliseconds;

TEST_CASE("A name service that loses the first question answers the next one, and nobody waits for the first") {
  const auto asked = std::make_shared<std::atomic<int>>(0);
  const auto hold = std::make_shared<std::atomic<bool>>(true);
  const auto look_up = [asked, hold] {
    if (asked->fetch_add(1) == 0) {
      while (*hold) std::this_thread::sleep_for(milliseconds(1));
      return Resolution{{}, "too late"};
    }
    return Resolution{{Endpoint()}, {}};
  };
  const Resolution found = ask_repeatedly(look_up, milliseconds(5), Deadline::after(std::chrono::seconds(60)));
  *hold = false;
  REQUIRE(found.problem.empty());
  REQUIRE(found.endpoints.size() == 1);
  REQUIRE(*asked >= 2);
}

TEST_CASE("A name service that never answers is asked a few times, and left at the deadline") {
  const auto asked = std::make_shared<std::atomic<int>>(0);
  const auto hold = std::make_shared<std::atomic<bool>>(true);
  const auto look_up = [asked, hold] {
    asked->fetch_add(1);
    while (*hold) std::this_thread::sleep_for(milliseconds(1));
    return Resolution{};
  };
  const Resolution found = ask_repeatedly(look_up, milliseconds(1), Deadline::after(milliseconds(200)));
  *hold = false;
  REQUIRE(found.problem == "the name service has not answered");
  REQUIRE(*asked <= 8);
}

TEST_CASE("What a name service says at once, also that it knows no such name, is the answer") {
  const auto look_up = [] { return Resolution{{}, "no such name"}; };
  REQUIRE(ask_repeatedly(look_up, milliseconds(1000), Deadline::after(std::chrono::seconds(60))).problem ==
          "no such name");
}
