// SPDX-License-Identifier: Apache-2.0
#include "pipeline/actions.hpp"

#include "trireme/base/error.hpp"

#include <cstddef>
#include <cstdint>

namespace trireme::pipeline {
namespace {

const char* name_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::forward: return "forward";
    case ActionKind::backward: return "backward";
    case ActionKind::backward_input: return "backward of the input";
    case ActionKind::backward_weight: return "backward of the weights";
  }
  return "?";
}

class ActionCheck {
 public:
  explicit ActionCheck(const Schedule& schedule) : schedule_(schedule) {}

  std::vector<int> run() {
    check_sizes();
    const auto stages = static_cast<std::size_t>(schedule_.stages);
    rank_of_stage_.assign(stages, -1);
    next_weight_.assign(stages, 0);
    done_.assign(stages * static_cast<std::size_t>(schedule_.micro_batches), 0);
    for (int rank = 0; rank < static_cast<int>(schedule_.ranks.size()); ++rank) {
      const auto& actions = schedule_.ranks[static_cast<std::size_t>(rank)];
      if (actions.empty())
        fail(ErrorCode::invalid_argument, "schedule: rank " + std::to_string(rank) + " does nothing");
      for (int index = 0; index < static_cast<int>(actions.size()); ++index)
        check(rank, index, actions[static_cast<std::size_t>(index)]);
    }
    check_complete();
    return rank_of_stage_;
  }

 private:
  [[noreturn]] void refuse(int rank, int index, const std::string& why) const {
    fail(ErrorCode::invalid_argument, "schedule: " + describe(schedule_, rank, index) + ": " + why);
  }

  void check_sizes() const {
    std::size_t actions = 0;
    for (const auto& each : schedule_.ranks) actions += each.size();
    if (schedule_.ranks.empty() || actions == 0) fail(ErrorCode::invalid_argument, "schedule: no rank does anything");
    if (schedule_.stages < 1 || schedule_.micro_batches < 1)
      fail(ErrorCode::invalid_argument, "schedule: " + std::to_string(schedule_.stages) + " stages and " +
                                            std::to_string(schedule_.micro_batches) +
                                            " micro-batches: give at least 1 of each");
    // Before memory is had for them: a text of one action may name stage 999999.
    const auto pairs = static_cast<std::size_t>(schedule_.stages) * static_cast<std::size_t>(schedule_.micro_batches);
    if (actions < 2 * pairs)
      fail(ErrorCode::invalid_argument, "schedule: " + std::to_string(schedule_.stages) + " stages and " +
                                            std::to_string(schedule_.micro_batches) + " micro-batches need at least " +
                                            std::to_string(2 * pairs) + " actions, a forward and a backward each; " +
                                            std::to_string(actions) + " are there");
  }

  static std::uint8_t bit(ActionKind kind) { return static_cast<std::uint8_t>(1u << static_cast<unsigned>(kind)); }

  void check(int rank, int index, const Action& action) {
    if (action.stage < 0 || action.stage >= schedule_.stages)
      refuse(rank, index, "stages are 0 to " + std::to_string(schedule_.stages - 1));
    if (action.micro_batch < 0 || action.micro_batch >= schedule_.micro_batches)
      refuse(rank, index, "micro-batches are 0 to " + std::to_string(schedule_.micro_batches - 1));
    int& home = rank_of_stage_[static_cast<std::size_t>(action.stage)];
    if (home < 0) home = rank;
    if (home != rank)
      refuse(rank, index,
             "stage " + std::to_string(action.stage) + " is on rank " + std::to_string(home) +
                 " already; a stage lives on one rank");
    std::uint8_t& done = done_[at(action.stage, action.micro_batch)];
    const auto has = [&](ActionKind kind) { return (done & bit(kind)) != 0; };
    if (has(action.kind)) refuse(rank, index, "stands twice");
    const bool whole = has(ActionKind::backward);
    const bool halves = has(ActionKind::backward_input) || has(ActionKind::backward_weight);
    if ((action.kind == ActionKind::backward && halves) ||
        ((action.kind == ActionKind::backward_input || action.kind == ActionKind::backward_weight) && whole))
      refuse(rank, index, "the backward of this stage and micro-batch is whole (B) or in halves (I and W), not both");
    if (action.kind != ActionKind::forward && !has(ActionKind::forward))
      refuse(rank, index, "stands before its forward");
    if (action.kind == ActionKind::backward_weight && !has(ActionKind::backward_input))
      refuse(rank, index, "the gradient of the weights stands before that of the input");
    if (completes_backward(action.kind)) {
      int& next = next_weight_[static_cast<std::size_t>(action.stage)];
      if (action.micro_batch != next)
        refuse(rank, index,
               "the next gradient of the weights of stage " + std::to_string(action.stage) +
                   " is that of micro-batch " + std::to_string(next) +
                   ": they are added in order, so that every schedule gives the same bits");
      ++next;
    }
    done = static_cast<std::uint8_t>(done | bit(action.kind));
  }

  void check_complete() const {
    for (int stage = 0; stage < schedule_.stages; ++stage) {
      const int rank = rank_of_stage_[static_cast<std::size_t>(stage)];
      if (rank < 0) fail(ErrorCode::invalid_argument, "schedule: no rank has stage " + std::to_string(stage));
      for (int i = 0; i < schedule_.micro_batches; ++i) {
        const std::uint8_t done = done_[at(stage, i)];
        const auto missing = [&](ActionKind kind) {
          fail(ErrorCode::invalid_argument, "schedule: rank " + std::to_string(rank) + " lacks the " + name_of(kind) +
                                                " of micro-batch " + std::to_string(i) + " at stage " +
                                                std::to_string(stage) + " (" + to_string(Action{kind, stage, i}) + ")");
        };
        if ((done & bit(ActionKind::forward)) == 0) missing(ActionKind::forward);
        if ((done & bit(ActionKind::backward)) != 0) continue;
        if ((done & bit(ActionKind::backward_input)) == 0) missing(ActionKind::backward);
        if ((done & bit(ActionKind::backward_weight)) == 0) missing(ActionKind::backward_weight);
      }
    }
  }

  std::size_t at(int stage, int micro_batch) const {
    return static_cast<std::size_t>(stage) * static_cast<std::size_t>(schedule_.micro_batches) +
           static_cast<std::size_t>(micro_batch);
  }

  const Schedule& schedule_;
  std::vector<int> rank_of_stage_;
  std::vector<int> next_weight_;
  std::vector<std::uint8_t> done_;  ///< by stage and micro-batch: the kinds seen
};

}  // namespace

std::string describe(const Schedule& schedule, int rank, int index) {
  const auto& actions = schedule.ranks[static_cast<std::size_t>(rank)];
  return "rank " + std::to_string(rank) + ", action " + std::to_string(index + 1) + " of " +
         std::to_string(actions.size()) + " (" + to_string(actions[static_cast<std::size_t>(index)]) + ")";
}

std::vector<int> check_actions(const Schedule& schedule) { return ActionCheck(schedule).run(); }

}  // namespace trireme::pipeline
