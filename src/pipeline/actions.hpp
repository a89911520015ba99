// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/pipeline/schedule.hpp"

#include <string>
#include <vector>

namespace trireme::pipeline {

/// "rank 1, action 3 of 8 (2F5)", counted from 1.
std::string describe(const Schedule& schedule, int rank, int index);

/// That every action stands once, all those of a stage on one rank, in an order that makes sense there, and the weight
/// gradients in the order of micro-batches. Gives the rank of each stage.
/// Errors: invalid_argument naming rank, action and why.
std::vector<int> check_actions(const Schedule& schedule);

}  // namespace trireme::pipeline
