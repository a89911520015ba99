// SPDX-License-Identifier: Apache-2.0
// Schedules that nobody would write: what the check accepts runs to its end and gives the same bits.
#include "chain.hpp"
#include "pipeline_run.hpp"
#include "trireme/base/error.hpp"
#include "trireme/pipeline/check.hpp"
#include "trireme/pipeline/schedule_text.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace trireme;
using namespace trireme::pipeline;

namespace {

/// Stages dealt at random, and at each turn some action whose inputs are there, on its rank: it would never deadlock if
/// buffers had no bounds. Then some neighbours change places.
class RandomSchedule {
 public:
  explicit RandomSchedule(unsigned seed) : random_(seed) {}

  Schedule make(int ranks, int stages, int micro_batches, int swaps) {
    Schedule schedule{stages, micro_batches, std::vector<std::vector<Action>>(static_cast<std::size_t>(ranks))};
    std::vector<int> home;
    for (int stage = 0; stage < stages; ++stage) home.push_back(stage < ranks ? stage : below(ranks));
    std::shuffle(home.begin(), home.end(), random_);
    while (true) {
      const std::vector<Action> ready = ready_actions(schedule);
      if (ready.empty()) break;
      const Action action = ready[static_cast<std::size_t>(below(static_cast<int>(ready.size())))];
      done_.push_back(action);
      schedule.ranks[static_cast<std::size_t>(home[static_cast<std::size_t>(action.stage)])].push_back(action);
    }
    for (; swaps > 0; --swaps) {
      auto& actions = schedule.ranks[static_cast<std::size_t>(below(ranks))];
      const auto place = static_cast<std::size_t>(below(static_cast<int>(actions.size()) - 1));
      std::swap(actions[place], actions[place + 1]);
    }
    return schedule;
  }

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }
  bool done(ActionKind kind, int stage, int micro_batch) const {
    return std::find(done_.begin(), done_.end(), Action{kind, stage, micro_batch}) != done_.end();
  }
  bool input_gradient(int stage, int micro_batch) const {
    return done(ActionKind::backward, stage, micro_batch) || done(ActionKind::backward_input, stage, micro_batch);
  }
  bool weight_gradient(int stage, int micro_batch) const {
    return done(ActionKind::backward, stage, micro_batch) || done(ActionKind::backward_weight, stage, micro_batch);
  }

  std::vector<Action> ready_actions(const Schedule& schedule) const {
    std::vector<Action> ready;
    for (int stage = 0; stage < schedule.stages; ++stage) {
      for (int i = 0; i < schedule.micro_batches; ++i) {
        if (!done(ActionKind::forward, stage, i)) {
          if (stage == 0 || done(ActionKind::forward, stage - 1, i)) ready.push_back({ActionKind::forward, stage, i});
          continue;
        }
        const bool turn = i == 0 || weight_gradient(stage, i - 1);
        if (!input_gradient(stage, i)) {
          if (stage + 1 < schedule.stages && !input_gradient(stage + 1, i)) continue;
          ready.push_back({ActionKind::backward_input, stage, i});
          if (turn) ready.push_back({ActionKind::backward, stage, i});
        } else if (turn && !weight_gradient(stage, i)) {
          ready.push_back({ActionKind::backward_weight, stage, i});
        }
      }
    }
    return ready;
  }

  std::mt19937 random_;
  std::vector<Action> done_;
};

bool accepted(const Schedule& schedule) {
  try {
    check(schedule);
    return true;
  } catch (const Exception&) {
    return false;
  }
}

}  // namespace

TEST_CASE("a random schedule that the check accepts runs to its end, with the bits of the chain in one piece") {
  constexpr int ranks = 3, stages = 5, micro_batches = 5;
  const testing::Chain chain(stages, 2);
  const std::vector<double> expected = testing::chain_gradient(chain, micro_batches);
  std::vector<Schedule> schedules;
  int refused = 0;
  for (unsigned seed = 0; schedules.size() < 60; ++seed) {
    Schedule schedule = RandomSchedule(seed).make(ranks, stages, micro_batches, static_cast<int>(seed % 5));
    if (accepted(schedule)) {
      schedules.push_back(std::move(schedule));
    } else {
      ++refused;
    }
  }
  CHECK(refused > 0);
  std::vector<std::string> wrong(ranks);
  testing::run_ranks(ranks,
                     [&](World& world) {
                       for (const Schedule& schedule : schedules) {
                         if (!testing::has_chain_gradient(world, schedule, chain, 1, expected))
                           wrong[static_cast<std::size_t>(world.rank())] += to_text(schedule);
                       }
                     },
                     {.world = {.timeout = std::chrono::seconds(30)}});
  for (const std::string& each : wrong) CHECK(each == "");
}
