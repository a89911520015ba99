// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/options.hpp"
#include "trireme/base/bytes.hpp"
#include "trireme/world/world.hpp"

#include <cstddef>
#include <vector>

namespace trireme::cli {

/// What one rank measures on, of all buffers that are used in turn.
struct PerfMemory {
  std::size_t input = 0;
  std::size_t output = 0;     ///< 0: the result replaces the input
  std::size_t yardstick = 0;  ///< what it is held against needs as much again, or more
  std::size_t all() const { return input + output + yardstick; }
};

/// Shape: `counts` elements per block, ascending.
PerfMemory perf_memory(const PerfOptions& options, const std::vector<std::size_t>& counts, int ranks);

/// What a new process could take: what the system counts as available, or the container's limit if that is less; 0 when
/// unknown.
Bytes available_memory();

/// Address space that vectors of `largest` and the library's own scratch need; 0: the library's default is enough.
Bytes perf_arena_reserve(Bytes largest);

/// Collective. Errors: invalid_argument naming --max-bytes, alike on all ranks, when some host has not `needed` bytes for
///                     each of its ranks.
void require_memory(const World& world, Bytes needed);

/// The same of `needed` bytes on a device for each of the ranks that share it.
void require_device_memory(const World& world, Bytes needed);

}  // namespace trireme::cli
