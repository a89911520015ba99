// SPDX-License-Identifier: Apache-2.0
#include "trireme/pipeline/simulate.hpp"

#include "pipeline/proof.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

namespace trireme::pipeline {
namespace {

/// Whole ticks of costs, and how many of them are a unit.
class Ticks {
 public:
  explicit Ticks(const Costs& costs) {
    for (const StageCost& stage : costs.stages) {
      take(stage.forward);
      take(stage.input);
      take(stage.weight);
    }
    take(costs.message);
  }
  std::int64_t per_unit() const { return per_unit_; }
  std::int64_t of(Rational cost) const {
    std::int64_t ticks = 0;
    if (__builtin_mul_overflow(cost.numerator(), per_unit_ / cost.denominator(), &ticks)) too_large();
    return ticks;
  }
  [[noreturn]] static void too_large() {
    fail(ErrorCode::invalid_argument,
         "simulation: the costs' sum needs more than 62 bits: give them with fewer digits");
  }

 private:
  void take(Rational cost) {
    if (cost < 0)
      fail(ErrorCode::invalid_argument, "simulation: a cost of " + to_string(cost) + ": costs are not negative");
    const std::int64_t factor = cost.denominator() / std::gcd(per_unit_, cost.denominator());
    if (__builtin_mul_overflow(per_unit_, factor, &per_unit_)) too_large();
  }
  std::int64_t per_unit_ = 1;
};

/// No time in a run is above the sum of all actions and messages.
void require_small(const Schedule& schedule, const std::vector<StageTicks>& stages, std::int64_t message_ticks) {
  constexpr std::int64_t most = std::int64_t{1} << 62;
  std::int64_t sum = 0;
  const auto add = [&](std::int64_t ticks) {
    if (ticks > most - sum) Ticks::too_large();
    sum += ticks;
  };
  for (const auto& actions : schedule.ranks) {
    for (const Action& action : actions) {
      const auto stage = stages.size() == 1 ? 0 : static_cast<std::size_t>(action.stage);
      if (stage >= stages.size()) return;  // refused by the proof
      for (const std::int64_t part : {stages[stage].forward, stages[stage].input, stages[stage].weight, message_ticks})
        add(part);
    }
  }
}

}  // namespace

Rational Simulation::bubble() const {
  Rational most = 0;
  for (const RankTimes& each : ranks) most = std::max(most, each.bubble);
  return most;
}

Simulation simulate(const Schedule& schedule, const Costs& costs) {
  if (costs.stages.size() != 1 && costs.stages.size() != static_cast<std::size_t>(schedule.stages))
    fail(ErrorCode::invalid_argument, "simulation: costs of " + std::to_string(costs.stages.size()) +
                                          " stages for a schedule of " + std::to_string(schedule.stages) +
                                          ": give one for all, or one each");
  const Ticks ticks(costs);
  std::vector<StageTicks> stages;
  for (const StageCost& stage : costs.stages)
    stages.push_back({ticks.of(stage.forward), ticks.of(stage.input), ticks.of(stage.weight)});
  const std::int64_t message_ticks = ticks.of(costs.message);
  require_small(schedule, stages, message_ticks);
  Proof proof = prove(schedule, {}, stages, message_ticks);

  Simulation result;
  result.ticks_per_unit = ticks.per_unit();
  result.spans = std::move(proof.timing.spans);
  std::int64_t last = 0;
  for (const auto& spans : result.spans) last = std::max(last, spans.back().end);
  result.makespan = Rational(last, ticks.per_unit());
  for (std::size_t rank = 0; rank < schedule.ranks.size(); ++rank) {
    const auto& spans = result.spans[rank];
    std::int64_t work = 0;
    for (const ActionSpan& span : spans) work += span.end - span.begin;
    result.ranks.push_back({.work = Rational(work, ticks.per_unit()),
                            .bubble = Rational(last - work, ticks.per_unit()),
                            .inside = Rational(spans.back().end - spans.front().begin - work, ticks.per_unit()),
                            .peak_live = proof.facts.peak_of_rank[rank]});
  }
  for (const Message& message : proof.exchange.messages())
    ++result.ranks[static_cast<std::size_t>(message.from.rank)].messages_sent;
  return result;
}

}  // namespace trireme::pipeline
