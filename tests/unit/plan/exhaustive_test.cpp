// SPDX-License-Identifier: Apache-2.0
#include "unit/plan/cases.hpp"

#include <catch2/catch.hpp>

namespace trireme::plan::proof {
namespace {

constexpr std::size_t most_states = 40'000;

/// Runs all interleavings and returns how many states there are; 0 and a failed check when a promise is broken.
std::size_t explore(const Case& each, Delivery delivery, bool in_place) {
  std::size_t states = 0;
  CHECK(broken_promise(each, [&] {
          const Ensemble ensemble(each.algorithm, each.shape);
          Expressions expressions;
          states = check_all_runs(ensemble, expressions, {delivery, in_place, false, 7}, most_states);
        }) == "");
  return states;
}

TEST_CASE("Every interleaving on two ranks gives the promised values") {
  for (const Case& each : all_cases(2)) {
    for (bool in_place : {false, true}) {
      CHECK(explore(each, Delivery::rendezvous, in_place) > 1);
      CHECK(explore(each, Delivery::eager, in_place) > 1);
    }
  }
}

TEST_CASE("Every interleaving on three ranks gives the promised values") {
  for (const Case& each : all_cases(3)) {
    const bool other_tree = each.algorithm == Algorithm::tree && each.shape.leaves == 4;  // r0 + (r1 + r2)
    if (each.shape.leaves != 3 && !other_tree) continue;
    CHECK(explore(each, Delivery::rendezvous, true) > 3);
    if (each.shape.collective != Collective::all_reduce) CHECK(explore(each, Delivery::mixed, true) > 3);
  }
}

/// On four ranks: what has more states than can be gone through here (halving and doubling 390 625) or nothing new.
bool left_out(Algorithm algorithm) {
  return algorithm == Algorithm::direct || algorithm == Algorithm::ring || algorithm == Algorithm::halving_doubling;
}

TEST_CASE(
    "Every interleaving of plans with trees, rounds of doubling and a root on four ranks gives the promised values") {
  for (const Case& each : all_cases(4)) {
    if (left_out(each.algorithm) || each.shape.leaves != 4) continue;
    CHECK(explore(each, Delivery::rendezvous, true) > 2);
  }
}

}  // namespace
}  // namespace trireme::plan::proof
