// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/ps/consistency.hpp"
#include "trireme/world/straggling.hpp"

#include <cstdint>

namespace trireme::bench {

/// Steps of all workers per second when nothing costs time but their computation, and the waits that the consistency asks for.
///
/// t(w, s) = computation(w, s) + max(t(w, s-1), the moment at which w may begin s): bulk-synchronous max over v of t(v, s-1),
/// stale-synchronous with bound S max over v of t(v, s-1-S), asynchronous at once. Over `seconds` of them.
double predicted_steps_per_second(const testing::Straggling& straggling, std::uint32_t workers,
                                  const ps::Consistency& consistency, double seconds);

}  // namespace trireme::bench
