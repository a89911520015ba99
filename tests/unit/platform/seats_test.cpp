// SPDX-License-Identifier: Apache-2.0
#include "platform/seats.hpp"

#include <catch2/catch.hpp>

#include <random>

using trireme::platform::each_has_a_processor;
using trireme::platform::ProcessorList;

namespace {

using Lists = std::vector<ProcessorList>;

bool fit(const Lists& lists, int otherwise = 1) { return each_has_a_processor(lists, otherwise); }

/// Hall's condition, by looking at every set of ranks.
bool hall(const Lists& lists) {
  for (unsigned set = 1; set < 1u << lists.size(); ++set) {
    unsigned processors = 0;
    for (std::size_t r = 0; r < lists.size(); ++r) {
      if ((set >> r & 1u) == 0) continue;
      for (const int each : lists[r]) processors |= 1u << each;
    }
    if (__builtin_popcount(processors) < __builtin_popcount(set)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("ranks fit where each can have a processor of its own") {
  REQUIRE(fit({{0, 1}, {0, 1}}));
  REQUIRE(fit({{0}, {1}}));
  REQUIRE(!fit({{0}, {0}}));  // taskset -c 0: however many processors the machine has
  REQUIRE(!fit({{0}, {0}}, 64));
  REQUIRE(!fit({{0, 1}, {0, 1}, {0, 1}}));
  REQUIRE(fit({{0, 1, 2}, {0, 1}, {0}}));  // the first must make room twice
  REQUIRE(!fit({{0, 1}, {0, 1}, {0, 1}, {2, 3}}));
}

TEST_CASE("a rank whose processors are unknown may run on any") {
  REQUIRE(fit({{}, {}}, 2));
  REQUIRE(!fit({{}, {}, {}}, 2));
  REQUIRE(fit({{0, 1}, {}}));
  REQUIRE(!fit({{0}, {}}, 8));  // the lists together say what the machine has
  REQUIRE(fit({}));
}

TEST_CASE("ranks fit exactly where Hall's condition holds") {
  std::mt19937 random(7);
  int fitting = 0;
  for (int i = 0; i < 4000; ++i) {
    Lists lists(1 + random() % 7);
    for (auto& list : lists) {
      const auto always = static_cast<int>(random() % 7);
      for (int p = 0; p < 7; ++p) {
        if (p == always || random() % 6 == 0) list.push_back(p);
      }
    }
    REQUIRE(fit(lists) == hall(lists));
    fitting += fit(lists);
  }
  REQUIRE(fitting > 500);
  REQUIRE(fitting < 3500);
}
