// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

namespace trireme::platform {

/// How near two of the processors that this process may use are to each other at this moment. Virtual processors move:
/// between sibling threads of a core, cores of one cache and cores of two, within seconds; what passes between them then
/// takes up to four times as long, whoever passes it.
struct Placement {
  double handoff_ns = 0.0;     ///< from a store by one to its sight by the other, one way
  double copy_slowdown = 1.0;  ///< time of a copy in the first-level cache while the other copies too, over alone

  /// Two cores that share a cache and nothing nearer.
  bool is_near() const { return handoff_ns >= 45 && handoff_ns <= 110 && copy_slowdown < 1.35; }
};

/// Looks at the first two of them, for some 10 ms. Nothing where there are fewer than two.
/// Threads: starts one and moves the calling one to a processor for the time.
std::optional<Placement> probe_placement();

}  // namespace trireme::platform
