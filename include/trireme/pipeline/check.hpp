// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/pipeline/schedule.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace trireme::pipeline {

/// What is true of a schedule that can run.
struct ScheduleFacts {
  std::vector<int> rank_of_stage;
  std::vector<int> peak_of_stage;  ///< micro-batches whose activations a stage holds at once, at most
  std::vector<int> peak_of_rank;   ///< the same of a rank: over its stages together
  bool splits_backward = false;    ///< some backward is in two halves
  std::size_t messages = 0;        ///< activations and gradients between ranks, in one step

  std::vector<int> stages_of(int rank) const;
};

struct CheckOptions {
  std::optional<int> peak_limit{};  ///< micro-batches times stages that a rank can hold; unset: any
};

/// Proves that the schedule can run, by running it without bytes: every action once, in an order that has its inputs, the
/// weight gradients of a stage in the order of micro-batches (so that every schedule adds them in one order: the same
/// bits), sends and receives that meet, no deadlock, activations within the limit.
///
/// What blocks: an action, until its input has come; a backward that makes a gradient for another rank, while the one two
/// before it for the same stage has not been taken. A receive is posted one action ahead of the action that needs it, in the
/// order in which the other rank sends.
/// Cost: O(actions) of time and memory, O(actions x ranks) of time at worst.
/// Errors: invalid_argument naming rank, action and why.
ScheduleFacts check(const Schedule& schedule, const CheckOptions& options = {});

}  // namespace trireme::pipeline
