// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipeline/exchange.hpp"
#include "pipeline/timing.hpp"
#include "trireme/pipeline/check.hpp"

#include <vector>

namespace trireme::pipeline {

/// A schedule that can run, with what was found out on the way.
struct Proof {
  ScheduleFacts facts;
  Exchange exchange;
  Timing timing;  ///< with the given ticks
};

/// check() and simulate() in one.
/// Shape: `stages` of 1 entry or one per stage; empty: 1 tick for everything.
Proof prove(const Schedule& schedule, const CheckOptions& options, std::vector<StageTicks> stages,
            std::int64_t message_ticks);

}  // namespace trireme::pipeline
