// SPDX-License-Identifier: Apache-2.0
#include "pipeline/exchange.hpp"

#include <algorithm>
#include <limits>

namespace trireme::pipeline {
namespace {

/// Where the forward of each stage and micro-batch stands, and the action that makes its input's gradient.
struct Producers {
  explicit Producers(const Schedule& schedule)
      : micro_batches(static_cast<std::size_t>(schedule.micro_batches)),
        forward(static_cast<std::size_t>(schedule.stages) * micro_batches),
        backward(forward.size()) {
    for (std::size_t rank = 0; rank < schedule.ranks.size(); ++rank) {
      for (std::size_t i = 0; i < schedule.ranks[rank].size(); ++i) {
        const Action& action = schedule.ranks[rank][i];
        const Place place{static_cast<int>(rank), static_cast<int>(i)};
        if (action.kind == ActionKind::forward) forward[at(action.stage, action.micro_batch)] = place;
        if (makes_input_gradient(action.kind)) backward[at(action.stage, action.micro_batch)] = place;
      }
    }
  }
  std::size_t at(int stage, int micro_batch) const {
    return static_cast<std::size_t>(stage) * micro_batches + static_cast<std::size_t>(micro_batch);
  }
  std::size_t micro_batches;
  std::vector<Place> forward;
  std::vector<Place> backward;
};

}  // namespace

Exchange::Exchange(const Schedule& schedule, const std::vector<int>& rank_of_stage) {
  find_messages(schedule, rank_of_stage);
  order_receives(schedule);
}

void Exchange::find_messages(const Schedule& schedule, const std::vector<int>& rank_of_stage) {
  const Producers producers(schedule);
  for (const auto& actions : schedule.ranks) needs_.emplace_back(actions.size());
  std::vector<std::vector<int>> gradients(size_of(schedule.stages));  // for each stage, in the order they are made
  // By rank and index: messages between two ranks come in the order in which they are sent.
  for (int rank = 0; rank < static_cast<int>(schedule.ranks.size()); ++rank) {
    for (int index = 0; index < static_cast<int>(schedule.ranks[size_of(rank)].size()); ++index) {
      const Action& action = schedule.ranks[size_of(rank)][size_of(index)];
      const bool gradient = makes_input_gradient(action.kind);
      if (!gradient && action.kind != ActionKind::forward) continue;
      const int taker = action.stage + (gradient ? -1 : 1);
      if (taker < 0 || taker == schedule.stages) continue;
      const Place to = gradient ? producers.backward[producers.at(taker, action.micro_batch)]
                                : producers.forward[producers.at(taker, action.micro_batch)];
      if (rank_of_stage[size_of(taker)] == rank) {
        needs_[size_of(to.rank)][size_of(to.index)].local = index;
        continue;
      }
      const int number = static_cast<int>(messages_.size());
      Needs& giver = needs_[size_of(rank)][size_of(index)];
      giver.outgoing = number;
      needs_[size_of(to.rank)][size_of(to.index)].incoming = number;
      if (gradient) {
        auto& earlier = gradients[size_of(taker)];
        if (earlier.size() >= gradients_on_their_way)
          giver.earlier_gradient = earlier[earlier.size() - gradients_on_their_way];
        earlier.push_back(number);
      }
      messages_.push_back(
          {.gradient = gradient, .stage = taker, .micro_batch = action.micro_batch, .from = {rank, index}, .to = to});
    }
  }
}

void Exchange::order_receives(const Schedule& schedule) {
  // From the last message of each pair to the first: none is posted behind one that comes after it.
  const std::size_t ranks = schedule.ranks.size();
  posts_.resize(ranks);
  int from = -1;
  std::vector<int> latest(ranks);
  for (std::size_t number = messages_.size(); number-- > 0;) {
    Message& message = messages_[number];
    if (message.from.rank != from) {
      from = message.from.rank;
      std::fill(latest.begin(), latest.end(), std::numeric_limits<int>::max());
    }
    int& limit = latest[size_of(message.to.rank)];
    limit = std::min(limit, std::max(message.to.index - 1, 0));
    message.posted_before = limit;
  }
  for (std::size_t number = 0; number < messages_.size(); ++number)
    posts_[size_of(messages_[number].to.rank)].push_back(static_cast<int>(number));
  for (auto& posts : posts_) {
    std::stable_sort(posts.begin(), posts.end(), [&](int a, int b) {
      return messages_[size_of(a)].posted_before < messages_[size_of(b)].posted_before;
    });
  }
}

}  // namespace trireme::pipeline
