// SPDX-License-Identifier: Apache-2.0
#include "comm/executable_plan.hpp"

#include "trireme/plan/plans.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

using namespace trireme;
using comm::ExecutablePlan;
using plan::Algorithm;
using plan::Collective;
using plan::Role;
using plan::Space;
using plan::StepKind;

namespace {

ExecutablePlan made(Algorithm algorithm, int ranks, int rank, Collective collective = Collective::all_reduce) {
  return ExecutablePlan(plan::make_plan(algorithm, {.collective = collective, .ranks = ranks, .leaves = ranks}, rank));
}

/// Every plan of a few worlds.
template <class Check>
void for_each_plan(Check check) {
  for (int ranks = 1; ranks <= 9; ++ranks) {
    for (const auto collective : {Collective::all_reduce, Collective::reduce_scatter, Collective::all_gather,
                                  Collective::broadcast, Collective::barrier}) {
      const plan::Shape shape{.collective = collective, .ranks = ranks, .leaves = ranks, .root = ranks / 2};
      for (const auto algorithm : plan::defined_algorithms(shape, false)) {
        for (int rank = 0; rank < ranks; ++rank) check(ExecutablePlan(plan::make_plan(algorithm, shape, rank)));
      }
    }
  }
}

plan::Step step(StepKind kind, int peer, std::vector<int> depends_on = {}) {
  plan::Step result;
  result.kind = kind;
  result.peer = peer;
  result.depends_on = std::move(depends_on);
  return result;
}

plan::Operand slot(std::int16_t which) { return {Space::scratch, which, Role::partial}; }

/// Receive into slot 0, then whatever `readers` are.
ExecutablePlan received_then(std::vector<plan::Step> readers) {
  plan::Plan result;
  result.shape.ranks = 2;
  result.mine.scratch = {{{0, 1}, Role::partial}, {{0, 1}, Role::partial}};
  auto receive = step(StepKind::recv, 1);
  receive.destination = slot(0);
  result.mine.steps.push_back(receive);
  for (auto& reader : readers) result.mine.steps.push_back(std::move(reader));
  return ExecutablePlan(std::move(result));
}

plan::Step load_from_slot(std::vector<int> depends_on) {
  auto load = step(StepKind::load_reduce, -1, std::move(depends_on));
  load.sources = {{Space::input, 0, Role::input}, slot(0)};
  load.program = {0, 1, -1};
  load.destination = {Space::output, 0, Role::output};
  return load;
}

}  // namespace

TEST_CASE("dependents are the dependencies turned round") {
  for_each_plan([](const ExecutablePlan& each) {
    const auto& steps = each.plan.mine.steps;
    std::size_t edges = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      REQUIRE(each.dependencies[i] == steps[i].depends_on.size());
      edges += steps[i].depends_on.size();
      for (auto at = each.dependent_begin[i]; at < each.dependent_begin[i + 1]; ++at) {
        const auto& back = steps[each.dependents[at]].depends_on;
        REQUIRE(std::count(back.begin(), back.end(), static_cast<int>(i)) == 1);
      }
    }
    REQUIRE(each.dependents.size() == edges);
    REQUIRE(each.dependent_begin.back() == edges);
  });
}

TEST_CASE("messages to (from) one peer are numbered in list order") {
  for_each_plan([](const ExecutablePlan& each) {
    std::map<int, std::uint32_t> sends, receives;
    for (std::size_t i = 0; i < each.plan.mine.steps.size(); ++i) {
      const auto& what = each.plan.mine.steps[i];
      if (what.kind == StepKind::send) REQUIRE(each.message[i] == sends[what.peer]++);
      if (what.kind == StepKind::recv || what.kind == StepKind::recv_reduce)
        REQUIRE(each.message[i] == receives[what.peer]++);
    }
  });
}

TEST_CASE("only receives into scratch that nothing but reductions read are borrowed") {
  for_each_plan([](const ExecutablePlan& each) {
    const auto& steps = each.plan.mine.steps;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (!each.borrowable[i]) continue;
      REQUIRE(steps[i].kind == StepKind::recv);
      REQUIRE(steps[i].destination.space == Space::scratch);
      REQUIRE(each.readers[i] > 0);  // else nobody would give it back
    }
  });
}

TEST_CASE(
    "direct reads all it reduces in place; recursive doubling all but the last exchange, whose result may overwrite a lent input") {
  for (const int ranks : {2, 4, 8}) {
    const int exchanges = ranks == 2 ? 1 : ranks == 4 ? 2 : 3;
    for (int rank = 0; rank < ranks; ++rank) {
      const auto direct = made(Algorithm::direct, ranks, rank);
      REQUIRE(std::count(direct.borrowable.begin(), direct.borrowable.end(), true) == ranks - 1);
      const auto doubling = made(Algorithm::recursive_doubling, ranks, rank);
      REQUIRE(std::count(doubling.borrowable.begin(), doubling.borrowable.end(), true) == exchanges - 1);
      const auto& steps = doubling.plan.mine.steps;
      for (std::size_t i = 0; i < steps.size(); ++i) {
        if (steps[i].kind != StepKind::load_reduce || steps[i].destination.space != Space::output) continue;
        for (const int from : doubling.source_receive[i]) {
          if (from >= 0) REQUIRE(!doubling.borrowable[static_cast<std::size_t>(from)]);
        }
      }
    }
  }
  const auto scatter = made(Algorithm::direct, 5, 3, Collective::reduce_scatter);
  REQUIRE(std::count(scatter.borrowable.begin(), scatter.borrowable.end(), true) == 4);
}

TEST_CASE("a receive is borrowed when a reduction alone reads it") {
  const auto plan = received_then({load_from_slot({0})});
  REQUIRE(plan.borrowable[0]);
  REQUIRE(plan.readers[0] == 1);
  REQUIRE(plan.source_receive[1] == std::vector<std::int32_t>{-1, 0});
}

TEST_CASE("a receive must land when it is sent on, copied or folded into") {
  auto send = step(StepKind::send, 1, {0});
  send.source = slot(0);
  REQUIRE(!received_then({send}).borrowable[0]);
  auto copy = step(StepKind::copy, -1, {0});
  copy.source = slot(0);
  copy.destination = {Space::output, 0, Role::output};
  REQUIRE(!received_then({copy}).borrowable[0]);
  auto fold = step(StepKind::recv_reduce, 1, {0});
  fold.destination = slot(0);
  const auto folded = received_then({fold});
  REQUIRE(!folded.borrowable[0]);
  REQUIRE(folded.landing[1] == 2);  // an area of its own behind the two slots
  REQUIRE(folded.slots.size() == 3);
  REQUIRE(!received_then({load_from_slot({0}), send}).borrowable[0]);  // both
}

TEST_CASE("a reader that waits for a send of its own rank gets a copy, however far back the send lies") {
  auto send = step(StepKind::send, 1);
  send.source = {Space::input, 0, Role::input};
  REQUIRE(!received_then({send, load_from_slot({0, 1})}).borrowable[0]);
  auto between = step(StepKind::copy, -1, {1});
  between.source = {Space::input, 0, Role::input};
  between.destination = slot(1);
  REQUIRE(!received_then({send, between, load_from_slot({0, 2})}).borrowable[0]);
  REQUIRE(received_then({send, load_from_slot({0})}).borrowable[0]);  // a send beside it does not matter
}
