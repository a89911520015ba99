// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/report.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/world/world.hpp"

#include <span>

namespace trireme::cli {

/// The ranks agree on how they end: with the same weights, whose hash `result` has, and running statistics, as stopped by the
/// signal that any of them had, and with the memory of the one that had most. Collective.
/// Errors: mismatch naming a rank whose weights differ; those of the communicator.
void agree_on_ends(World& world, std::span<const Parameter> buffers, TrainResult& result);

}  // namespace trireme::cli
