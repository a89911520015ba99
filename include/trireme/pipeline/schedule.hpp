// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::pipeline {

/// What a rank does with one micro-batch at one stage. Backward is done whole, or as its two halves: the gradient of the
/// input, which the stage before waits for, and that of the weights, which nobody waits for.
enum class ActionKind : std::uint8_t { forward, backward, backward_input, backward_weight };

struct Action {
  ActionKind kind = ActionKind::forward;
  int stage = 0;
  int micro_batch = 0;
  friend bool operator==(const Action&, const Action&) = default;
};

/// "2F5": forward of micro-batch 5 at stage 2; B: the whole backward, I: of the input, W: of the weights.
std::string to_string(const Action& action);

/// Whether the gradients of the weights are there once `kind` is done: it ends the life of the micro-batch's activations.
constexpr bool completes_backward(ActionKind kind) {
  return kind == ActionKind::backward || kind == ActionKind::backward_weight;
}
/// Whether `kind` makes the gradient for the stage before.
constexpr bool makes_input_gradient(ActionKind kind) {
  return kind == ActionKind::backward || kind == ActionKind::backward_input;
}

/// A pipeline's step as data: what each rank does, in order. A stage lives on the rank that has its actions. Stage s
/// takes the output of stage s-1 and gives its gradient back; nothing here says when bytes move, that follows.
struct Schedule {
  int stages = 0;
  int micro_batches = 0;
  std::vector<std::vector<Action>> ranks;
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

}  // namespace trireme::pipeline
