// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme {

/// Where a rank runs, as numbers that are equal for what is the same, on all ranks alike; -1: unknown.
struct Location {
  int host = -1;  ///< ranks that can share memory
  int cache_domain =
      -1;  ///< processors that share a NUMA node and a last-level cache: known of ranks that are bound to them
  friend constexpr bool operator==(Location, Location) = default;
};

}  // namespace trireme
