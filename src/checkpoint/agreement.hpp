// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/file_system.hpp"
#include "trireme/checkpoint/manifest.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// What one rank sees of one checkpoint, or of an entry of the journal that cannot be read.
struct Sighting {
  CheckpointId id{};
  std::uint64_t digest = 0;  ///< of the whole manifest
  std::string problem{};     ///< empty: all its files are there
  bool is_damage = false;    ///< nobody knows of which checkpoint

  static Sighting of(const Manifest& manifest, std::string problem);
  static Sighting of_damage(std::string what);
};

/// What all ranks together make of it; the same on all.
struct Agreement {
  std::vector<CheckpointId> complete;  ///< on every rank; newest first
  std::vector<std::string> problems;   ///< of those that are newer than the newest complete one, a line each
};

/// Collective. Errors: invalid_argument, on all ranks, when there is something but nothing complete: what is missing where.
Agreement agree(Communicator& communicator, const std::vector<Sighting>& mine, const std::string& folder);

/// "step-…/….safetensors is missing", or that it is of another size; empty when all files are there. Looks at no content.
std::string missing_file(const FileSystem& files, const std::string& folder, const Manifest& manifest);

}  // namespace trireme::checkpoint
