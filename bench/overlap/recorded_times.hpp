// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::bench {

/// When an operation began and ended on this rank, in nanoseconds of the steady clock.
struct RecordedTimes {
  std::int64_t started_ns = 0;
  std::int64_t ended_ns = 0;
};

/// Of the operations labelled `label`, as `communicator`'s flight recorder has them, oldest first. The recorder notes the
/// end when it happens, whoever drives; Work::done() would drive the operation itself.
/// Errors: corrupt when one of them has not ended well.
std::vector<RecordedTimes> recorded_times(const Communicator& communicator, const std::string& label);

}  // namespace trireme::bench
