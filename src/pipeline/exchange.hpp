// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/pipeline/schedule.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::pipeline {

/// Where an action stands: ranks[rank][index].
struct Place {
  int rank = -1;
  int index = -1;
};

/// What passes between two ranks: the activations that stage `stage` takes, or the gradient that it waits for.
struct Message {
  bool gradient = false;
  int stage = 0;
  int micro_batch = 0;
  Place from;             ///< the action that makes it
  Place to;               ///< the action that needs it
  int posted_before = 0;  ///< the receive is posted before ranks[to.rank][posted_before]
};

/// What an action waits for and gives, beside its turn. -1: nothing.
struct Needs {
  int incoming = -1;          ///< message
  int outgoing = -1;          ///< message
  int local = -1;             ///< index of the action of the same rank whose result it takes
  int earlier_gradient = -1;  ///< message whose buffer its own gradient takes: the one two before it for that stage
};

/// Which messages a schedule makes, in which order the ranks post them, and what every action waits for. The one definition
/// of what passes when, for the proof, the simulation and the runtime.
///
/// A receive is posted one action ahead of the action that needs it; what the same rank sends earlier is posted before it,
/// since messages between two ranks meet in order.
class Exchange {
 public:
  static constexpr int gradients_on_their_way = 2;

  /// Shape: every action stands once, on the rank of its stage (check_actions).
  explicit Exchange(const Schedule& schedule, const std::vector<int>& rank_of_stage);

  const std::vector<Message>& messages() const { return messages_; }
  const Needs& needs(int rank, int index) const { return needs_[size_of(rank)][size_of(index)]; }
  /// The messages whose receives `rank` posts, in order.
  const std::vector<int>& posts(int rank) const { return posts_[size_of(rank)]; }

 private:
  static std::size_t size_of(int value) { return static_cast<std::size_t>(value); }
  void find_messages(const Schedule& schedule, const std::vector<int>& rank_of_stage);
  void order_receives(const Schedule& schedule);

  std::vector<Message> messages_;
  std::vector<std::vector<Needs>> needs_;
  std::vector<std::vector<int>> posts_;
};

}  // namespace trireme::pipeline
