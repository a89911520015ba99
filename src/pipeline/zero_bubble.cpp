// SPDX-License-Identifier: Apache-2.0
#include "pipeline/schedule_builder.hpp"
#include "trireme/pipeline/generate.hpp"

#include <algorithm>

namespace trireme::pipeline {
namespace {

/// What one rank does at its two stages; each kind of action takes the micro-batches in order.
class VRank {
 public:
  VRank(ScheduleBuilder& builder, int rank, int ranks) : builder_(builder), rank_(rank) {
    sides_[0].stage = rank;
    sides_[1].stage = 2 * ranks - 1 - rank;
  }

  void forward(int side) { add(ActionKind::forward, side, sides_[side].forwards); }
  void input(int side) { add(ActionKind::backward_input, side, sides_[side].inputs); }
  void weight(int side) { add(ActionKind::backward_weight, side, sides_[side].weights); }
  void backward(int side) {
    input(side);
    weight(side);
  }
  int forwards(int side) const { return sides_[side].forwards; }
  void remaining_weights(int side) {
    while (sides_[side].weights < sides_[side].inputs) weight(side);
  }

 private:
  struct Side {
    int stage = 0;
    int forwards = 0;
    int inputs = 0;
    int weights = 0;
  };
  void add(ActionKind kind, int side, int& count) { builder_.add(rank_, kind, sides_[side].stage, count++); }

  ScheduleBuilder& builder_;
  int rank_;
  Side sides_[2];
};

}  // namespace

Schedule zero_bubble_h1(int ranks, int micro_batches) {
  ScheduleBuilder builder("zb-h1", {.ranks = ranks, .micro_batches = micro_batches});
  for (int rank = 0; rank < ranks; ++rank) {
    const int ahead = std::min(ranks - 1 - rank, micro_batches);
    int weights = 0;
    for (int i = 0; i < ahead; ++i) builder.add(rank, ActionKind::forward, rank, i);
    for (int i = 0; i < micro_batches; ++i) {
      const bool last_forwards = ahead + i < micro_batches;
      if (last_forwards) builder.add(rank, ActionKind::forward, rank, ahead + i);
      builder.add(rank, ActionKind::backward_input, rank, i);
      // As many activations are live as on rank 0 of 1F1B: `ahead`, the one at hand, and `rank` whose weights wait. When
      // the forwards are through, a weight fills the time until the next gradient comes.
      if (!last_forwards || i >= rank) builder.add(rank, ActionKind::backward_weight, rank, weights++);
    }
    while (weights < micro_batches) builder.add(rank, ActionKind::backward_weight, rank, weights++);
  }
  return builder.take();
}

Schedule zero_bubble_v(int ranks, int micro_batches) {
  ScheduleBuilder builder("zb-v", {.ranks = ranks, .micro_batches = micro_batches, .chunks = 2});
  const int count = std::max(micro_batches, 2 * ranks - 1);  // what is past the last is left out
  for (int rank = 0; rank < ranks; ++rank) {
    VRank v(builder, rank, ranks);
    constexpr int down = 0;  // from the first stage towards the turn
    constexpr int up = 1;
    // Forwards until the first micro-batch has come back up.
    for (int i = 0; i < 2 * (ranks - rank) - 1; ++i) v.forward(down);
    for (int i = 0; i < rank; ++i) {
      v.forward(up);
      v.forward(down);
    }
    for (int i = 0; i < ranks - rank; ++i) {
      v.forward(up);
      v.backward(up);
    }
    // One of each in turn.
    while (v.forwards(up) < v.forwards(down) || v.forwards(down) < count) {
      if (v.forwards(down) < count) v.forward(down);
      v.backward(down);
      v.forward(up);
      v.backward(up);
    }
    // No forwards are left: gradients that others wait for first, weights where none has come yet.
    for (int i = 0; i < rank; ++i) {
      v.input(down);
      v.input(up);
    }
    for (int i = 0; i < ranks - rank; ++i) {
      v.input(down);
      v.weight(down);
    }
    v.remaining_weights(up);
    v.remaining_weights(down);
  }
  return builder.take();
}

}  // namespace trireme::pipeline
