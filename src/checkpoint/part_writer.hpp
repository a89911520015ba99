// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "checkpoint/part.hpp"
#include "trireme/checkpoint/file_system.hpp"
#include "trireme/checkpoint/manifest.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// Chunks are hashed each for itself, so that a part of a tensor can be read and verified without the rest.
inline constexpr std::uint64_t chunk_bytes = std::uint64_t{256} << 10;

/// One rank's part of one checkpoint, with all that is needed to write it while the state goes on changing.
struct StagedPart {
  std::string folder;                ///< the checkpoint folder
  std::string file;                  ///< below it
  std::vector<StateTensor> tensors;  ///< names, dtypes and shapes; their data is not looked at any more
  PartPlan plan;
  std::vector<std::byte> header;
  std::span<const std::byte> data;
};

/// What rank 0 needs to know of a part: its slices with their hashes. Nothing of a part without data.
Manifest describe(const StagedPart& part);

/// A new file in a folder that is made for it, and made again when another attempt, which finds it empty, removes it between.
std::unique_ptr<OutputFile> create_in(FileSystem& files, const std::string& folder, const std::string& path);

/// Writes the part and makes it durable, its folder included. A file that is not finished is removed.
void write_part(FileSystem& files, const StagedPart& part);

/// All shares, by rank, as one manifest; `manifest` has the tensors already, without slices.
void merge_shares(std::span<const Manifest> shares, Manifest& manifest);

}  // namespace trireme::checkpoint
