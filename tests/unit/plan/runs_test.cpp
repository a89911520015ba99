// SPDX-License-Identifier: Apache-2.0
#include "unit/plan/cases.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>

namespace trireme::plan::proof {
namespace {

bool has_root(Collective collective) {
  return collective == Collective::broadcast || collective == Collective::gather || collective == Collective::scatter ||
         collective == Collective::reduce;
}

/// Of cases with many ranks, those that differ least from the others; those that differ in nothing.
bool skipped(const Case& each) {
  const auto [collective, ranks, leaves, root] = each.shape;
  const bool ignores_leaves = each.algorithm == Algorithm::ring || each.algorithm == Algorithm::double_tree;
  if (ignores_leaves && leaves != ranks) return true;
  if (ranks <= 6) return false;
  if (ranks <= 12) {
    if (has_root(collective) && root % 3 != ranks % 3) return true;
    const bool one_pass = each.algorithm == Algorithm::direct || each.algorithm == Algorithm::rooted;
    return one_pass && leaves != ranks && leaves != 37;
  }
  if (has_root(collective)) return root % 7 != ranks % 7 || (leaves != ranks && leaves != 64);
  if (each.algorithm == Algorithm::tree || each.algorithm == Algorithm::recursive_doubling ||
      each.algorithm == Algorithm::halving_doubling) {
    return leaves != ranks && leaves != 64;
  }
  // Who sends what to whom is the same for every number of ranks, and leaves change the program of the sum only.
  // Halves of all_reduce are proved with it.
  const bool whole = collective == Collective::all_reduce;
  if (ranks > 32 && ranks % (whole ? 3 : 8) != (whole ? 1 : 0)) return true;  // 64 stays
  return leaves != ranks && (leaves != 64 || ranks % 8 != 3);
}

void require_runs(Algorithm algorithm, Collective collective) {
  int runs = 0;
  for (int ranks = 1; ranks <= most_ranks; ++ranks) {
    for (const Case& each : all_cases(ranks)) {
      if (each.algorithm != algorithm || each.shape.collective != collective) continue;
      if (skipped(each)) continue;
      CHECK(run_case(each, 6, ranks <= 12 ? most_seeds : ranks <= 24 ? 2 : 1) == "");
      ++runs;
    }
  }
  CHECK(runs >= static_cast<int>(std::bit_width(unsigned{most_ranks})) - 1);  // powers of two at the least
}

TEST_CASE("AllReduce by direct adds each contribution once, in the brackets of the contracted tree") {
  require_runs(Algorithm::direct, Collective::all_reduce);
}

TEST_CASE("AllReduce by recursive doubling adds each contribution once, in the brackets of the contracted tree") {
  require_runs(Algorithm::recursive_doubling, Collective::all_reduce);
}

TEST_CASE("AllReduce by halving and doubling adds each contribution once, in the brackets of the contracted tree") {
  require_runs(Algorithm::halving_doubling, Collective::all_reduce);
}

TEST_CASE("AllReduce by tree adds each contribution once, in the brackets of the contracted tree") {
  require_runs(Algorithm::tree, Collective::all_reduce);
}

TEST_CASE("AllReduce by ring adds each contribution once, in the same brackets on every rank") {
  require_runs(Algorithm::ring, Collective::all_reduce);
}

TEST_CASE("ReduceScatter by direct adds each contribution once, in the brackets of the contracted tree") {
  require_runs(Algorithm::direct, Collective::reduce_scatter);
}

TEST_CASE("ReduceScatter by ring adds each contribution once") {
  require_runs(Algorithm::ring, Collective::reduce_scatter);
}

TEST_CASE("AllGather brings every block to every rank") {
  require_runs(Algorithm::direct, Collective::all_gather);
  require_runs(Algorithm::bruck, Collective::all_gather);
  require_runs(Algorithm::ring, Collective::all_gather);
}

TEST_CASE("Broadcast brings the root's values to every rank, from any root") {
  require_runs(Algorithm::tree, Collective::broadcast);
  require_runs(Algorithm::double_tree, Collective::broadcast);
  require_runs(Algorithm::ring, Collective::broadcast);
}

TEST_CASE(
    "Reduce by rooted and by tree adds each contribution once on the root, in the brackets of the contracted tree") {
  require_runs(Algorithm::rooted, Collective::reduce);
  require_runs(Algorithm::tree, Collective::reduce);
}

TEST_CASE("Reduce by double tree adds each contribution once on the root") {
  require_runs(Algorithm::double_tree, Collective::reduce);
}

TEST_CASE("Gather brings every block to the root, whichever it is") {
  require_runs(Algorithm::rooted, Collective::gather);
  require_runs(Algorithm::tree, Collective::gather);
}

TEST_CASE("Scatter brings every rank its block of the root's, whichever that is") {
  require_runs(Algorithm::rooted, Collective::scatter);
  require_runs(Algorithm::tree, Collective::scatter);
}

TEST_CASE("AllToAll brings block j of rank i to block i of rank j") {
  require_runs(Algorithm::direct, Collective::all_to_all);
}

TEST_CASE("Barrier ends under every schedule") {
  require_runs(Algorithm::recursive_doubling, Collective::barrier);
  require_runs(Algorithm::tree, Collective::barrier);
}

TEST_CASE(
    "No rank leaves a barrier before every rank has entered, and no wait for another rank's report can be left out") {
  for (int ranks = 1; ranks <= most_ranks; ++ranks) {
    const Shape shape{Collective::barrier, ranks, ranks, 0};
    const auto everyone = ranks == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << ranks) - 1;
    const auto holds = [&](const Ensemble& ensemble) {
      const auto known = known_at_the_end(ensemble);
      return std::all_of(known.begin(), known.end(), [&](std::uint64_t set) { return set == everyone; });
    };
    const Algorithm algorithm = defined_algorithms(shape, true).at(0);
    const Ensemble ensemble(algorithm, shape);
    CHECK(holds(ensemble));
    if (ranks > 12) continue;
    for (std::size_t rank = 0; rank < ensemble.plans.size(); ++rank) {
      const auto& steps = ensemble.plans[rank].mine.steps;
      for (std::size_t step = 0; step < steps.size(); ++step) {
        for (std::size_t wait = 0; wait < steps[step].depends_on.size(); ++wait) {
          const int report = steps[step].depends_on[wait];
          if (steps[static_cast<std::size_t>(report)].peer == steps[step].peer) continue;  // it knows what it reported
          std::vector<Plan> without = ensemble.plans;
          auto& waits = without[rank].mine.steps[step].depends_on;
          waits.erase(waits.begin() + static_cast<std::ptrdiff_t>(wait));
          CHECK_FALSE(holds(Ensemble(std::move(without))));
        }
      }
    }
  }
}

}  // namespace
}  // namespace trireme::plan::proof
