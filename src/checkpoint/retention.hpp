// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/file_system.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// Removes complete checkpoints but for the last `keep_last` and those of steps that are multiples of `keep_every` (0: none):
/// one that the newest one's attempt passed over, as it was damaged, say, is none of the last ones, but stays with them. The
/// manifests first, so that none ever names files that are gone, then the files, whose names it returns.
std::vector<std::string> remove_old(FileSystem& files, const std::string& folder, std::uint64_t keep_last,
                                    std::uint64_t keep_every);

/// Files of a checkpoint that is none any more, and the folders that are then empty. Those not there are passed over.
void remove_files(FileSystem& files, const std::string& folder, const std::vector<std::string>& names);

}  // namespace trireme::checkpoint
