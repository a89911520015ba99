// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipeline/exchange.hpp"
#include "trireme/pipeline/check.hpp"

#include <vector>

namespace trireme::pipeline {

/// A receive, posted before an action.
struct PlannedReceive {
  int message = 0;
  int buffer = 0;
};

/// An action of this rank with the places of everything it touches. -1: nothing (an end of the pipeline).
struct PlannedAction {
  Action action;
  std::vector<PlannedReceive> posts;
  int slot = 0;
  int input = -1;            ///< buffer of what the stage takes
  int output = -1;           ///< of forward
  int output_gradient = -1;  ///< of backward
  int input_gradient = -1;   ///< of backward, of the whole or of the input
  int outgoing = -1;         ///< message sent from output or input_gradient
};

/// What one rank does, worked out before the first step: no memory is looked for while it runs.
///
/// Buffers: an input lives from its receive to the end of the micro-batch's backward, an output gradient likewise. Two
/// stages of one rank that follow each other share them: what the one writes, the other reads. An output that is sent has the
/// place of its micro-batch's slot: by the time the slot is taken again, the gradient has come back, so the send has long
/// been over. Two places, in turn, hold gradients on their way to another rank.
struct RankPlan {
  std::vector<PlannedAction> actions;
  std::vector<int> boundary_of_buffer;
};

/// Shape: a schedule and its exchange as proved.
RankPlan plan_rank(const Schedule& schedule, const ScheduleFacts& facts, const Exchange& exchange, int rank);

}  // namespace trireme::pipeline
