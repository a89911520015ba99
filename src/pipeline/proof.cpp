// SPDX-License-Identifier: Apache-2.0
#include "pipeline/proof.hpp"

#include "pipeline/actions.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace trireme::pipeline {
namespace {

std::size_t place_of(int value) { return static_cast<std::size_t>(value); }

/// What the action at which a rank stands waits for, and whose turn that is.
struct Wait {
  int for_rank = -1;
  std::string what;
};

class Deadlock {
 public:
  Deadlock(const Schedule& schedule, const Exchange& exchange, const Timing& timing)
      : schedule_(schedule), exchange_(exchange), timing_(timing) {}

  /// Names the ranks of a circle of waits. Shape: some rank is not at its end.
  [[noreturn]] void report() const {
    int rank = 0;
    while (!stuck(rank)) ++rank;
    std::vector<int> path;
    while (std::find(path.begin(), path.end(), rank) == path.end()) {
      path.push_back(rank);
      rank = wait_of(rank).for_rank;
    }
    path.erase(path.begin(), std::find(path.begin(), path.end(), rank));
    std::string text = "schedule: it would deadlock: ";
    constexpr std::size_t most_named = 8;
    for (std::size_t i = 0; i < path.size() && i < most_named; ++i)
      text += (i == 0 ? "" : "; ") + describe(schedule_, path[i], timing_.reached[place_of(path[i])]) + " waits for " +
              wait_of(path[i]).what;
    if (path.size() > most_named) text += "; and " + std::to_string(path.size() - most_named) + " ranks more";
    fail(ErrorCode::invalid_argument, text);
  }

 private:
  bool stuck(int rank) const {
    return place_of(timing_.reached[place_of(rank)]) < schedule_.ranks[place_of(rank)].size();
  }
  const Action& action(Place place) const { return schedule_.ranks[place_of(place.rank)][place_of(place.index)]; }

  Wait wait_of(int rank) const {
    const int reached = timing_.reached[place_of(rank)];
    const Needs& needs = exchange_.needs(rank, reached);
    if (needs.local >= reached)
      return {rank, "its own " + to_string(action({rank, needs.local})) + ", which stands later"};
    for (const int number : {needs.incoming, needs.earlier_gradient}) {
      if (number < 0) continue;
      const Message& message = exchange_.messages()[place_of(number)];
      const std::string of = to_string(action(message.from)) + " of rank " + std::to_string(message.from.rank);
      if (timing_.reached[place_of(message.from.rank)] <= message.from.index) return {message.from.rank, of};
      if (timing_.reached[place_of(message.to.rank)] < message.posted_before)
        return {message.to.rank, "rank " + std::to_string(message.to.rank) + " to take the gradient that its own " +
                                     to_string(action(message.from)) + " made"};
    }
    fail(ErrorCode::invalid_argument, "schedule: " + describe(schedule_, rank, reached) + ": it can run, but did not");
  }

  const Schedule& schedule_;
  const Exchange& exchange_;
  const Timing& timing_;
};

/// How many micro-batches are live at most, by stage and by rank, from the beginning of forward to the end of backward.
void find_peaks(const Schedule& schedule, ScheduleFacts& facts) {
  facts.peak_of_stage.assign(place_of(schedule.stages), 0);
  facts.peak_of_rank.assign(schedule.ranks.size(), 0);
  std::vector<int> live_of_stage(place_of(schedule.stages), 0);
  for (std::size_t rank = 0; rank < schedule.ranks.size(); ++rank) {
    int live = 0;
    for (const Action& action : schedule.ranks[rank]) {
      int& of_stage = live_of_stage[place_of(action.stage)];
      if (action.kind == ActionKind::forward) {
        int& peak = facts.peak_of_stage[place_of(action.stage)];
        peak = std::max(peak, ++of_stage);
        facts.peak_of_rank[rank] = std::max(facts.peak_of_rank[rank], ++live);
      } else if (completes_backward(action.kind)) {
        --of_stage;
        --live;
      }
      facts.splits_backward = facts.splits_backward || action.kind == ActionKind::backward_input;
    }
  }
}

}  // namespace

Proof prove(const Schedule& schedule, const CheckOptions& options, std::vector<StageTicks> stages,
            std::int64_t message_ticks) {
  ScheduleFacts facts;
  facts.rank_of_stage = check_actions(schedule);
  find_peaks(schedule, facts);
  for (std::size_t rank = 0; rank < facts.peak_of_rank.size(); ++rank) {
    if (options.peak_limit && facts.peak_of_rank[rank] > *options.peak_limit)
      fail(ErrorCode::invalid_argument,
           "schedule: rank " + std::to_string(rank) + " would hold the activations of " +
               std::to_string(facts.peak_of_rank[rank]) + " micro-batches at once, and the limit is " +
               std::to_string(*options.peak_limit) + ": take a schedule that begins backward sooner");
  }
  Exchange exchange(schedule, facts.rank_of_stage);
  facts.messages = exchange.messages().size();
  if (stages.empty()) stages.emplace_back();
  if (stages.size() == 1) stages.resize(place_of(schedule.stages), stages.front());
  Timing timing = run_ticks(schedule, exchange, stages, message_ticks);
  for (std::size_t rank = 0; rank < schedule.ranks.size(); ++rank) {
    if (place_of(timing.reached[rank]) < schedule.ranks[rank].size()) Deadlock(schedule, exchange, timing).report();
  }
  return {std::move(facts), std::move(exchange), std::move(timing)};
}

std::vector<int> ScheduleFacts::stages_of(int rank) const {
  std::vector<int> stages;
  for (int stage = 0; stage < static_cast<int>(rank_of_stage.size()); ++stage) {
    if (rank_of_stage[place_of(stage)] == rank) stages.push_back(stage);
  }
  return stages;
}

ScheduleFacts check(const Schedule& schedule, const CheckOptions& options) {
  return prove(schedule, options, {}, 0).facts;
}

}  // namespace trireme::pipeline
