// SPDX-License-Identifier: Apache-2.0
#include "parallel/closeness.hpp"

#include <catch2/catch.hpp>

#include <vector>

namespace trireme::parallel {
namespace {

using Order = std::vector<int>;
using Locations = std::vector<Location>;

}  // namespace

TEST_CASE("Ranks whose hosts stand together keep their numbers") {
  REQUIRE(order_by_closeness(Locations{{0, -1}, {0, -1}, {1, -1}, {1, -1}}) == Order{0, 1, 2, 3});
  REQUIRE(order_by_closeness(Locations{{7, -1}, {7, -1}, {2, -1}, {2, -1}}) == Order{0, 1, 2, 3});
  REQUIRE(order_by_closeness(Locations{{0, 3}, {0, 3}, {0, 1}, {0, 1}}) == Order{0, 1, 2, 3});
  REQUIRE(order_by_closeness(Locations{{0, -1}}) == Order{0});
}

TEST_CASE("Ranks dealt out to hosts in turn are numbered by host, and within a host by cache domain") {
  REQUIRE(order_by_closeness(Locations{{0, -1}, {1, -1}, {0, -1}, {1, -1}}) == Order{0, 2, 1, 3});
  REQUIRE(order_by_closeness(Locations{{0, 0}, {0, 1}, {0, 0}, {0, 1}}) == Order{0, 2, 1, 3});
  REQUIRE(order_by_closeness(Locations{{0, 0}, {1, 2}, {0, 1}, {1, 2}, {0, 0}}) == Order{0, 4, 2, 1, 3});
}

TEST_CASE("Cache domains do not count on a host where one is unknown, hosts not where one is") {
  REQUIRE(order_by_closeness(Locations{{0, 0}, {0, 1}, {0, -1}, {0, 1}}) == Order{0, 1, 2, 3});
  REQUIRE(order_by_closeness(Locations{{0, 0}, {0, 1}, {0, 0}, {1, -1}}) == Order{0, 2, 1, 3});
  REQUIRE(order_by_closeness(Locations{{0, 0}, {-1, 1}, {0, 0}}) == Order{0, 1, 2});
}

}  // namespace trireme::parallel
