// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "checkpoint/chunk_reader.hpp"
#include "trireme/checkpoint/manifest.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/comm/communicator.hpp"

#include <span>
#include <vector>

namespace trireme::checkpoint {

/// Fills the targets that all ranks have alike, each byte read by one rank, which gives it to the others; and each rank its own
/// ranges, read by itself. `holders`: see share_reads; with them every byte is read by one rank for all, ranges too, which all
/// ranks then name alike. Collective.
/// Errors: corrupt, on all ranks, naming rank, file and tensor.
void read_targets(Communicator& communicator, PartSource& source, const Manifest& manifest,
                  std::span<const StateReader::Target> targets, std::span<const std::vector<int>> holders = {});

/// What a state is offered of a checkpoint.
StateReader reader_of(const Manifest& manifest);

}  // namespace trireme::checkpoint
