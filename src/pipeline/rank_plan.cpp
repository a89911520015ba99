// SPDX-License-Identifier: Apache-2.0
#include "pipeline/rank_plan.hpp"

#include <cstddef>
#include <map>
#include <utility>

namespace trireme::pipeline {
namespace {

/// Numbers in use, the lowest free one first; those given back are taken again.
class Places {
 public:
  /// Shape: make() gives a new place when none is free.
  template <class Make>
  int take(Make make) {
    if (free_.empty()) return make();
    const int place = free_.back();
    free_.pop_back();
    return place;
  }
  void give_back(int place) { free_.push_back(place); }

 private:
  std::vector<int> free_;
};

class RankPlanner {
 public:
  RankPlanner(const Schedule& schedule, const ScheduleFacts& facts, const Exchange& exchange, int rank)
      : schedule_(schedule), facts_(facts), exchange_(exchange), rank_(rank), stages_(facts.rank_of_stage.size()) {}

  RankPlan run() {
    const auto& actions = schedule_.ranks[static_cast<std::size_t>(rank_)];
    auto post = exchange_.posts(rank_).begin();
    const auto end = exchange_.posts(rank_).end();
    for (int index = 0; index < static_cast<int>(actions.size()); ++index) {
      PlannedAction planned;
      planned.action = actions[static_cast<std::size_t>(index)];
      for (; post != end && message(*post).posted_before <= index; ++post) planned.posts.push_back(receive(*post));
      planned.outgoing = exchange_.needs(rank_, index).outgoing;
      place(planned);
      plan_.actions.push_back(std::move(planned));
    }
    return std::move(plan_);
  }

 private:
  /// Of a stage.
  struct StagePlaces {
    Places slots;
    int slot_count = 0;
    Places inputs;
    Places output_gradients;
    std::vector<int> outputs;          ///< by slot
    std::vector<int> input_gradients;  ///< in turn
    std::size_t gradients_made = 0;
    // By live micro-batch:
    std::map<int, int> slot_of;
    std::map<int, int> input_of;
    std::map<int, int> output_gradient_of;
  };

  const Message& message(int number) const { return exchange_.messages()[static_cast<std::size_t>(number)]; }
  StagePlaces& stage(int number) { return stages_[static_cast<std::size_t>(number)]; }
  bool is_first(int number) const { return number == 0; }
  bool is_last(int number) const { return number + 1 == schedule_.stages; }
  bool is_here(int number) const { return facts_.rank_of_stage[static_cast<std::size_t>(number)] == rank_; }

  int new_buffer(int boundary) {
    plan_.boundary_of_buffer.push_back(boundary);
    return static_cast<int>(plan_.boundary_of_buffer.size()) - 1;
  }
  int take_input(int number, int micro_batch) {
    StagePlaces& places = stage(number);
    return places.input_of[micro_batch] = places.inputs.take([&] { return new_buffer(number - 1); });
  }
  int take_output_gradient(int number, int micro_batch) {
    StagePlaces& places = stage(number);
    return places.output_gradient_of[micro_batch] = places.output_gradients.take([&] { return new_buffer(number); });
  }

  PlannedReceive receive(int number) {
    const Message& incoming = message(number);
    return {number, incoming.gradient ? take_output_gradient(incoming.stage, incoming.micro_batch)
                                      : take_input(incoming.stage, incoming.micro_batch)};
  }

  void place(PlannedAction& planned) {
    const int number = planned.action.stage;
    const int micro_batch = planned.action.micro_batch;
    StagePlaces& places = stage(number);
    if (planned.action.kind == ActionKind::forward)
      places.slot_of[micro_batch] = places.slots.take([&] { return places.slot_count++; });
    planned.slot = places.slot_of.at(micro_batch);
    if (!is_first(number)) planned.input = places.input_of.at(micro_batch);
    if (planned.action.kind == ActionKind::forward) {
      if (!is_last(number)) planned.output = output_place(number, micro_batch, planned.slot);
      return;
    }
    if (!is_last(number)) planned.output_gradient = places.output_gradient_of.at(micro_batch);
    if (makes_input_gradient(planned.action.kind) && !is_first(number))
      planned.input_gradient = input_gradient_place(number, micro_batch);
    if (completes_backward(planned.action.kind)) give_back(places, micro_batch);
  }

  int output_place(int number, int micro_batch, int slot) {
    if (is_here(number + 1)) return take_input(number + 1, micro_batch);
    auto& outputs = stage(number).outputs;
    while (outputs.size() <= static_cast<std::size_t>(slot)) outputs.push_back(new_buffer(number));
    return outputs[static_cast<std::size_t>(slot)];
  }
  int input_gradient_place(int number, int micro_batch) {
    if (is_here(number - 1)) return take_output_gradient(number - 1, micro_batch);
    StagePlaces& places = stage(number);
    const std::size_t turn = places.gradients_made++ % Exchange::gradients_on_their_way;
    if (places.input_gradients.size() <= turn) places.input_gradients.push_back(new_buffer(number - 1));
    return places.input_gradients[turn];
  }

  static void give_back(std::map<int, int>& places_of, Places& places, int micro_batch) {
    const auto entry = places_of.find(micro_batch);
    if (entry == places_of.end()) return;
    places.give_back(entry->second);
    places_of.erase(entry);
  }
  static void give_back(StagePlaces& places, int micro_batch) {
    give_back(places.slot_of, places.slots, micro_batch);
    give_back(places.input_of, places.inputs, micro_batch);
    give_back(places.output_gradient_of, places.output_gradients, micro_batch);
  }

  const Schedule& schedule_;
  const ScheduleFacts& facts_;
  const Exchange& exchange_;
  int rank_;
  std::vector<StagePlaces> stages_;
  RankPlan plan_;
};

}  // namespace

RankPlan plan_rank(const Schedule& schedule, const ScheduleFacts& facts, const Exchange& exchange, int rank) {
  return RankPlanner(schedule, facts, exchange, rank).run();
}

}  // namespace trireme::pipeline
