// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipeline/exchange.hpp"
#include "trireme/pipeline/simulate.hpp"

#include <cstdint>
#include <vector>

namespace trireme::pipeline {

/// Ticks of one micro-batch at one stage.
struct StageTicks {
  std::int64_t forward = 1;
  std::int64_t input = 1;
  std::int64_t weight = 1;

  std::int64_t of(ActionKind kind) const {
    switch (kind) {
      case ActionKind::forward: return forward;
      case ActionKind::backward: return input + weight;
      case ActionKind::backward_input: return input;
      case ActionKind::backward_weight: return weight;
    }
    return 0;
  }
};

struct Timing {
  std::vector<std::vector<ActionSpan>> spans;  ///< of the actions that came to run
  /// By rank, the action at which it stands for ever; its number of actions where it came to the end.
  std::vector<int> reached;
};

/// Lets every rank do its actions in order, each as soon as what it needs is there.
/// Cost: O(actions x ranks) at worst: who waits looks again whenever the rank it waits for has done something.
Timing run_ticks(const Schedule& schedule, const Exchange& exchange, const std::vector<StageTicks>& stages,
                 std::int64_t message_ticks);

}  // namespace trireme::pipeline
