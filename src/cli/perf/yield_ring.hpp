// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <cstdint>
#include <optional>

namespace trireme::cli {

/// What the scheduler alone costs where ranks outnumber processors: a word goes round all ranks, each of which waits for
/// it with sched_yield. Long waits of a collective are held against those of this ring.
struct YieldRing {
  static constexpr std::uint64_t rounds = 10'000;
  double p50_us = 0.0;  ///< of one round
  double p99_us = 0.0;
};

/// Nothing where the ranks' processes cannot see each other's memory.
/// Shape: all ranks on one host, at least two. Cost: `YieldRing::rounds` rounds. Collective.
/// Errors: timeout when a rank does not come within a minute.
std::optional<YieldRing> measure_yield_ring(Communicator communicator);

}  // namespace trireme::cli
