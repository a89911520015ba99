// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/plan/plans.hpp"
#include "unit/plan/simulator.hpp"

#include <set>
#include <string>
#include <vector>

namespace trireme::plan::proof {

#ifdef TRIREME_SANITIZED
constexpr int most_ranks = 19;  // the same code, ten times as slow; every build without sanitizers goes on to 64
constexpr int most_seeds = 4;
#else
constexpr int most_ranks = 64;
constexpr int most_seeds = 12;
#endif

struct Case {
  Algorithm algorithm;
  Shape shape;
};

/// As many leaves as ranks, and more: powers of two, multiples and neither.
inline std::vector<int> leaves_for(int ranks) {
  std::set<int> leaves{ranks};
  for (int more : {ranks + 1, 2 * ranks, 8, 37, 64}) {
    if (more >= ranks) leaves.insert(more);
  }
  return {leaves.begin(), leaves.end()};
}

/// Every algorithm of every collective on `ranks` ranks, with leaves_for(ranks) and all roots.
inline std::vector<Case> all_cases(int ranks) {
  std::vector<Case> cases;
  const auto add = [&](const Shape& shape) {
    for (Algorithm algorithm : defined_algorithms(shape, false)) cases.push_back({algorithm, shape});
  };
  for (Collective collective : {Collective::all_reduce, Collective::reduce_scatter}) {
    for (int leaves : leaves_for(ranks)) add({collective, ranks, leaves, 0});
  }
  for (Collective collective : {Collective::broadcast, Collective::gather, Collective::scatter}) {
    for (int root = 0; root < ranks; ++root) add({collective, ranks, ranks, root});
  }
  for (int leaves : leaves_for(ranks)) {
    for (int root = 0; root < ranks; ++root) {
      if (leaves == ranks || root % 3 == leaves % 3) add({Collective::reduce, ranks, leaves, root});
    }
  }
  for (Collective collective : {Collective::all_gather, Collective::all_to_all, Collective::barrier}) {
    add({collective, ranks, ranks, 0});
  }
  return cases;
}

/// Every order of events with every way of delivery, in place and not, edges ordered and not.
inline std::vector<Schedule> all_schedules(std::uint32_t seed) {
  std::vector<Schedule> schedules;
  for (Order order :
       {Order::random, Order::lowest_rank, Order::highest_rank, Order::newest, Order::oldest, Order::late_sends}) {
    for (Delivery delivery : {Delivery::rendezvous, Delivery::eager, Delivery::mixed}) {
      for (bool in_place : {false, true}) {
        for (bool ordered : {false, true}) schedules.push_back({order, {delivery, in_place, ordered, ++seed}});
      }
    }
  }
  return schedules;
}

/// Which promise is broken, with the case in front; empty if none is.
template <class Proof>
std::string broken_promise(const Case& each, Proof&& proof) {
  try {
    proof();
  } catch (const Broken& broken) {
    return describe(each.algorithm, each.shape) + ": " + broken.what();
  }
  return {};
}

/// Runs under all schedules on up to `thorough` ranks; above, under `some` of them, others for every number of ranks.
inline std::string run_case(const Case& each, int thorough, int some) {
  return broken_promise(each, [&] {
    const Ensemble ensemble(each.algorithm, each.shape);
    Expressions expressions;
    const auto seed = static_cast<std::uint32_t>(1000 * each.shape.ranks + each.shape.leaves);
    const auto schedules = all_schedules(seed);
    if (each.shape.ranks <= thorough) {
      for (const Schedule& schedule : schedules) check_run(ensemble, expressions, schedule);
      return;
    }
    for (int k = 0; k < some; ++k) {  // 29 and 72 have no common divisor: all schedules have their turn
      const auto turn = static_cast<std::size_t>(29 * (each.shape.ranks * some + k)) % schedules.size();
      check_run(ensemble, expressions, schedules[turn]);
    }
  });
}

}  // namespace trireme::plan::proof
