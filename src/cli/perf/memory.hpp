// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/world/world.hpp"

namespace trireme::cli {

/// What a new process could take: what the system counts as available, or the container's limit if that is less; 0 when
/// unknown.
Bytes available_memory();

/// Address space that the vectors of `largest` and the library's own scratch need; 0: the library's default is enough.
Bytes perf_arena_reserve(Bytes largest);

/// Collective. Errors: invalid_argument naming --max-bytes, alike on all ranks, when some host has not the memory for the
///                     vectors of its ranks.
void require_memory(const World& world, Bytes largest);

}  // namespace trireme::cli
