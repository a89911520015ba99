// SPDX-License-Identifier: Apache-2.0
// The proofs themselves are tried on plans that were spoilt on purpose.
#include "unit/plan/cases.hpp"
#include "unit/plan/graph_check.hpp"

#include <catch2/catch.hpp>

namespace trireme::plan::proof {
namespace {

std::vector<Plan> plans_of(const Case& each) {
  std::vector<Plan> plans;
  for (int rank = 0; rank < each.shape.ranks; ++rank) plans.push_back(make_plan(each.algorithm, each.shape, rank));
  return plans;
}

bool some_run_fails(std::vector<Plan> plans) {
  try {
    const Ensemble ensemble(std::move(plans));
    Expressions expressions;
    for (const Schedule& schedule : all_schedules(1)) check_run(ensemble, expressions, schedule);
  } catch (const Broken&) {
    return true;
  }
  return false;
}

bool graph_fails(const Plan& plan) {
  try {
    check_graph(plan);
  } catch (const Broken&) {
    return true;
  }
  return false;
}

TEST_CASE("Leaving out any wait is found in the graph") {
  for (const Case& each : all_cases(5)) {
    if (each.shape.collective == Collective::barrier) continue;
    for (const Plan& plan : plans_of(each)) {
      for (std::size_t step = 0; step < plan.mine.steps.size(); ++step) {
        for (std::size_t wait = 0; wait < plan.mine.steps[step].depends_on.size(); ++wait) {
          if (plan.mine.steps[step].depends_on[wait] == plan.mine.steps[step].paced_by) continue;
          Plan spoilt = plan;
          auto& waits = spoilt.mine.steps[step].depends_on;
          waits.erase(waits.begin() + static_cast<std::ptrdiff_t>(wait));
          CHECK(graph_fails(spoilt));
        }
      }
    }
  }
}

TEST_CASE("A wait too many is found in the graph") {
  Plan plan = make_plan(Algorithm::ring, {Collective::all_reduce, 4, 4, 0}, 1);
  auto& last = plan.mine.steps.back();
  CHECK_FALSE(graph_fails(plan));
  last.depends_on.insert(last.depends_on.begin(), 0);
  CHECK(graph_fails(plan));
}

TEST_CASE("A result overwritten while it is sent is found by running") {
  // Recursive doubling in place: the sum must wait until the input has been sent.
  const Case each{Algorithm::recursive_doubling, {Collective::all_reduce, 2, 2, 0}};
  std::vector<Plan> plans = plans_of(each);
  CHECK_FALSE(some_run_fails(plans));
  auto& sum = plans[0].mine.steps.back();
  REQUIRE(sum.depends_on == std::vector<int>{0, 1});
  sum.depends_on = {1};
  CHECK(some_run_fails(plans));
}

TEST_CASE("A value sent before it has arrived is found by running") {
  const Case each{Algorithm::tree, {Collective::broadcast, 4, 4, 0}};
  std::vector<Plan> plans = plans_of(each);
  auto& forward = plans[2].mine.steps.back();
  REQUIRE(forward.kind == StepKind::send);
  forward.depends_on.clear();
  CHECK(some_run_fails(plans));
}

TEST_CASE("Receipts that wait for sends on all ranks are found to be stuck") {
  const Case each{Algorithm::recursive_doubling, {Collective::all_reduce, 4, 4, 0}};
  std::vector<Plan> plans = plans_of(each);
  for (Plan& plan : plans) plan.mine.steps.at(1).depends_on = {0};
  CHECK(some_run_fails(plans));
}

TEST_CASE("Other brackets, a lost and a repeated contribution are found by running") {
  const Case each{Algorithm::direct, {Collective::all_reduce, 4, 4, 0}};
  const std::vector<Plan> plans = plans_of(each);
  CHECK_FALSE(some_run_fails(plans));
  for (const std::vector<std::int16_t>& program : {std::vector<std::int16_t>{0, 1, -1, 2, -1, 3, -1},
                                                   {0, 1, -1, 3, 2, -1, -1},
                                                   {0, 1, -1, 2, -1},
                                                   {0, 1, -1, 2, 2, -1, -1}}) {
    std::vector<Plan> spoilt = plans;
    for (Step& step : spoilt[3].mine.steps) {
      if (step.kind == StepKind::load_reduce) step.program = program;
    }
    CHECK(some_run_fails(spoilt));
  }
}

TEST_CASE("Messages that meet in another order at the two ends are found when matching") {
  const Case each{Algorithm::ring, {Collective::all_reduce, 3, 3, 0}};
  std::vector<Plan> plans = plans_of(each);
  std::vector<Step*> sends;
  for (Step& step : plans[0].mine.steps) {
    if (step.kind == StepKind::send) sends.push_back(&step);
  }
  std::swap(sends.at(0)->blocks, sends.at(1)->blocks);
  CHECK_THROWS_AS(Ensemble(plans), Broken);
}

TEST_CASE("A message of all_to_all that names any but the peer's block at one end is found when matching") {
  const Case each{Algorithm::direct, {Collective::all_to_all, 3, 3, 0}};
  std::vector<Plan> plans = plans_of(each);
  CHECK_NOTHROW(Ensemble(plans));
  for (StepKind kind : {StepKind::send, StepKind::recv}) {
    std::vector<Plan> spoilt = plans;
    for (Step& step : spoilt[1].mine.steps) {
      if (step.kind == kind) step.blocks.first = 1;
    }
    CHECK_THROWS_AS(Ensemble(spoilt), Broken);
  }
}

TEST_CASE("An output on another rank than the root is found") {
  const Case each{Algorithm::rooted, {Collective::gather, 3, 3, 1}};
  std::vector<Plan> plans = plans_of(each);
  CHECK_FALSE(some_run_fails(plans));
  plans[2].mine.output_blocks = {0, 3};
  CHECK(some_run_fails(plans));
  Plan touched = make_plan(each.algorithm, each.shape, 2);
  CHECK_FALSE(graph_fails(touched));
  touched.mine.steps.front().source = {Space::output, 0, Role::output};
  CHECK(graph_fails(touched));
}

TEST_CASE("The promised sum of 8 leaves on 3 ranks is r0 + (r1 + r2), that of 3 leaves (r0 + r1) + r2") {
  Expressions expressions;
  CHECK(expressions.text(promised_sums(expressions, 8, 3, 1).at(0)) == "(r0[0] + (r1[0] + r2[0]))");
  CHECK(expressions.text(promised_sums(expressions, 3, 3, 6).at(5)) == "((r0[5] + r1[5]) + r2[5])");
  CHECK(promised_height(4, 4) == 2);
}

}  // namespace
}  // namespace trireme::plan::proof
