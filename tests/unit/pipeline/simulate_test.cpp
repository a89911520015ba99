// SPDX-License-Identifier: Apache-2.0
// The formulas of the schedules' authors, as exact numbers.
#include "trireme/pipeline/simulate.hpp"

#include "support/failures.hpp"
#include "trireme/pipeline/generate.hpp"
#include "trireme/pipeline/schedule_text.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace trireme;
using namespace trireme::pipeline;

namespace {

const std::vector<int> simulated_ranks{1, 2, 4, 8};
const std::vector<int> simulated_micro_batches{4, 8, 16, 32};
const std::vector<StageCost> simulated_costs{
    {1, 1, 1}, {2, 3, 1}, {Rational(1, 3), Rational(1, 2), Rational(1, 7)}, {5, 1, 2}};

StageCost part_of(const StageCost& cost, int parts) {
  return {cost.forward / parts, cost.input / parts, cost.weight / parts};
}

}  // namespace

TEST_CASE("the bubble of GPipe and 1F1B is (p-1)(F+B+W)") {
  for (const int p : simulated_ranks) {
    for (const int m : simulated_micro_batches) {
      for (const StageCost& cost : simulated_costs) {
        INFO(p << " ranks, " << m << " micro-batches, F " << to_string(cost.forward));
        const Rational expected = Rational(p - 1) * (cost.forward + cost.input + cost.weight);
        CHECK(simulate(gpipe(p, m), {.stages = {cost}}).bubble() == expected);
        const Simulation one = simulate(one_forward_one_backward(p, m), {.stages = {cost}});
        CHECK(one.bubble() == expected);
        CHECK(one.makespan == Rational(m + p - 1) * (cost.forward + cost.input + cost.weight));
        for (const RankTimes& rank : one.ranks) CHECK(rank.bubble == expected);
      }
    }
  }
}

TEST_CASE("the bubble of interleaved 1F1B is (p-1)(F+B+W)/v where p divides m") {
  for (const int p : simulated_ranks) {
    for (const int m : simulated_micro_batches) {
      for (const int v : {1, 2, 4}) {
        for (const StageCost& cost : simulated_costs) {
          INFO(p << " ranks, " << m << " micro-batches, " << v << " chunks, F " << to_string(cost.forward));
          const Rational whole = cost.forward + cost.input + cost.weight;
          const Simulation result = simulate(interleaved(p, m, v), {.stages = {part_of(cost, v)}});
          if (m % p == 0) CHECK(result.bubble() == Rational(p - 1) * whole / v);
          const Rational filled =
              simulate(interleaved(p, (m + p - 1) / p * p, v), {.stages = {part_of(cost, v)}}).makespan;
          CHECK(result.makespan <= filled);
        }
      }
    }
  }
}

TEST_CASE("the bubble of ZB-H1 is (p-1)(F+B-W) where W <= F, W <= B and m >= p; with equal costs a third of 1F1B's") {
  const std::vector<StageCost> costs{
      {1, 1, 1}, {2, 3, 1}, {3, 2, 2}, {2, 3, 2}, {Rational(1, 3), Rational(1, 2), Rational(1, 7)}};
  for (const int p : simulated_ranks) {
    for (const int m : simulated_micro_batches) {
      for (const StageCost& cost : costs) {
        INFO(p << " ranks, " << m << " micro-batches, F " << to_string(cost.forward));
        const Simulation result = simulate(zero_bubble_h1(p, m), {.stages = {cost}});
        const Simulation one = simulate(one_forward_one_backward(p, m), {.stages = {cost}});
        if (m >= p) CHECK(result.bubble() == Rational(p - 1) * (cost.forward + cost.input - cost.weight));
        if (m >= p && cost.forward == cost.input && cost.input == cost.weight)
          CHECK(result.bubble() == one.bubble() / 3);
        CHECK(result.makespan <= one.makespan);
      }
    }
  }
}

TEST_CASE("ZB-V leaves no rank idle between its first and last action where F = B = W and m >= 2p - 1") {
  for (const int p : simulated_ranks) {
    for (const int m : simulated_micro_batches) {
      if (m < 2 * p - 1) continue;
      INFO(p << " ranks, " << m << " micro-batches\n"
             << draw(zero_bubble_v(p, m), simulate(zero_bubble_v(p, m), {}), 200));
      const Simulation result = simulate(zero_bubble_v(p, m), {});
      for (const RankTimes& rank : result.ranks) CHECK(rank.inside == Rational(0));
      CHECK(result.bubble() == Rational(p - 1));  // of chunks: half as long as a rank's whole forward
    }
  }
}

TEST_CASE("messages that take time lengthen the step, by what compute does not hide") {
  const StageCost cost{3, 3, 3};
  const Simulation without = simulate(one_forward_one_backward(4, 8), {.stages = {cost}});
  const Simulation with = simulate(one_forward_one_backward(4, 8), {.stages = {cost}, .message = 1});
  CHECK(with.makespan > without.makespan);
  CHECK(simulate(one_forward_one_backward(1, 8), {.stages = {cost}, .message = 5}).bubble() == Rational(0));
  // One micro-batch: down and up through four ranks, three messages each way.
  CHECK(simulate(gpipe(4, 1), {.stages = {cost}, .message = 1}).makespan == Rational(4 * 9 + 6));
  CHECK(simulate(gpipe(4, 1), {.stages = {cost}, .message = Rational(1, 2)}).makespan == Rational(4 * 9 + 3));
  CHECK(with.ranks[0].messages_sent == 8);
  CHECK(with.ranks[1].messages_sent == 16);
}

TEST_CASE("unequal stages: the slowest sets the pace") {
  const std::vector<StageCost> costs{{1, 1, 1}, {2, 2, 2}, {1, 1, 1}};
  const Simulation result = simulate(one_forward_one_backward(3, 10), {.stages = costs});
  CHECK(result.ranks[1].work == Rational(60));
  // Down to the second stage, its work, 1 that it waits for the first gradient, and up to the first stage.
  CHECK(result.makespan == Rational(1 + 60 + 1 + 2));
  CHECK(result.ranks[0].bubble == result.makespan - 30);
}

TEST_CASE("costs that do not fit are refused") {
  const auto refusal = [](const Costs& costs) {
    const Error error = testing::error_of([&] { (void)simulate(gpipe(3, 2), costs); });
    return error.code == ErrorCode::invalid_argument ? error.message : "not refused";
  };
  CHECK(testing::has(refusal({.stages = {{}, {}}}), "costs of 2 stages for a schedule of 3"));
  CHECK(testing::has(refusal({.stages = {{.forward = -1}}}), "a cost of -1"));
  CHECK(testing::has(refusal({.message = Rational(-1, 2)}), "a cost of -1/2"));
  CHECK(testing::has(refusal({.message = std::int64_t{1} << 61}), "62 bits"));
  CHECK(testing::has(refusal({.stages = {{Rational(1, 4294967291), Rational(1, 4294967279), 1}}}), "62 bits"));
}

TEST_CASE("a picture shows who does what, and when a rank is idle") {
  const Schedule schedule = one_forward_one_backward(2, 2);
  CHECK(draw(schedule, simulate(schedule, {}), 18) ==
        "rank 0 |F0F1....B0--..B1--|\n"
        "rank 1 |..F0B0--F1B1--....|\n");
  const Schedule v = zero_bubble_v(1, 1);
  CHECK(draw(v, simulate(v, {}), 12) == "rank 0 |F0f0i0w0I0W0|\n");
}
