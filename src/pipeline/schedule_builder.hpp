// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/pipeline/generate.hpp"

#include <string_view>

namespace trireme::pipeline {

/// A schedule under construction, which leaves out what belongs to micro-batches past the last.
class ScheduleBuilder {
 public:
  /// Errors: invalid_argument naming the schedule and the size that makes no sense.
  ScheduleBuilder(std::string_view name, const ScheduleSize& size);

  void add(int rank, ActionKind kind, int stage, int micro_batch) {
    if (micro_batch < schedule_.micro_batches)
      schedule_.ranks[static_cast<std::size_t>(rank)].push_back({kind, stage, micro_batch});
  }
  Schedule take() { return std::move(schedule_); }

 private:
  Schedule schedule_;
};

}  // namespace trireme::pipeline
