// SPDX-License-Identifier: Apache-2.0
#include "pipeline/timing.hpp"

#include <algorithm>
#include <optional>

namespace trireme::pipeline {
namespace {

class Clockwork {
 public:
  Clockwork(const Schedule& schedule, const Exchange& exchange, const std::vector<StageTicks>& stages,
            std::int64_t message_ticks)
      : schedule_(schedule), exchange_(exchange), stages_(stages), message_ticks_(message_ticks) {
    for (const auto& actions : schedule.ranks) timing_.spans.emplace_back(actions.size());
    timing_.reached.resize(schedule.ranks.size(), 0);
    waiting_for_.resize(schedule.ranks.size());
  }

  Timing run() {
    std::vector<int> ready;
    for (int rank = 0; rank < static_cast<int>(schedule_.ranks.size()); ++rank) ready.push_back(rank);
    while (!ready.empty()) {
      const int rank = ready.back();
      ready.pop_back();
      while (const auto wakes = step(rank)) ready.insert(ready.end(), wakes->begin(), wakes->end());
    }
    return std::move(timing_);
  }

 private:
  static std::size_t at(int value) { return static_cast<std::size_t>(value); }

  /// The next action of `rank`, if it can run: whom that may wake. Nothing: it waits, or is at its end.
  std::optional<std::vector<int>> step(int rank) {
    int& reached = timing_.reached[at(rank)];
    if (reached == static_cast<int>(schedule_.ranks[at(rank)].size())) return std::nullopt;
    const Action& action = schedule_.ranks[at(rank)][at(reached)];
    const Needs& needs = exchange_.needs(rank, reached);
    std::int64_t begin = reached == 0 ? 0 : timing_.spans[at(rank)][at(reached - 1)].end;
    if (needs.local >= reached) return std::nullopt;  // what it takes, the same rank makes later: never
    for (const int number : {needs.incoming, needs.earlier_gradient}) {
      if (number < 0) continue;
      const auto arrival = arrival_of(exchange_.messages()[at(number)], rank);
      if (!arrival) return std::nullopt;
      begin = std::max(begin, *arrival);
    }
    timing_.spans[at(rank)][at(reached)] = {begin, begin + stages_[at(action.stage)].of(action.kind)};
    ++reached;
    std::vector<int> wakes;
    std::swap(wakes, waiting_for_[at(rank)]);
    return wakes;
  }

  /// When the message is there; nothing, and `who` is woken later, while it is not known.
  std::optional<std::int64_t> arrival_of(const Message& message, int who) {
    const auto reached = [&](int rank) { return timing_.reached[at(rank)]; };
    if (reached(message.from.rank) <= message.from.index) return wait_for(message.from.rank, who);
    if (reached(message.to.rank) < message.posted_before) return wait_for(message.to.rank, who);
    const std::int64_t made = timing_.spans[at(message.from.rank)][at(message.from.index)].end;
    const std::int64_t posted =
        message.posted_before == 0 ? 0 : timing_.spans[at(message.to.rank)][at(message.posted_before - 1)].end;
    return std::max(made, posted) + message_ticks_;
  }
  std::nullopt_t wait_for(int rank, int who) {
    if (rank != who) waiting_for_[at(rank)].push_back(who);
    return std::nullopt;
  }

  const Schedule& schedule_;
  const Exchange& exchange_;
  const std::vector<StageTicks>& stages_;
  std::int64_t message_ticks_;
  Timing timing_;
  std::vector<std::vector<int>> waiting_for_;  ///< by rank: who waits until it goes on
};

}  // namespace

Timing run_ticks(const Schedule& schedule, const Exchange& exchange, const std::vector<StageTicks>& stages,
                 std::int64_t message_ticks) {
  return Clockwork(schedule, exchange, stages, message_ticks).run();
}

}  // namespace trireme::pipeline
