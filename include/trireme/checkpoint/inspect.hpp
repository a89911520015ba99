// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"
#include "trireme/checkpoint/file_system.hpp"
#include "trireme/checkpoint/manifest.hpp"
#include "trireme/checkpoint/value.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// A checkpoint that stands in a journal, and whether its files are what the journal says.
struct InspectedCheckpoint {
  struct Tensor {
    std::string name;
    DType dtype = DType::f32;
    std::vector<std::int64_t> shape{};
  };

  std::string entry{};  ///< its file in the journal
  Attempt attempt{};
  std::uint64_t step = 0;
  std::uint32_t world = 1;     ///< ranks that saved it
  std::uint64_t saved_ms = 0;  ///< Unix time
  std::uint64_t bytes = 0;     ///< of all parts
  std::vector<Tensor> tensors{};
  Values values{};
  std::vector<std::string> problems{};  ///< a line each, naming the file, and the tensor where it is one's

  /// Every file is there, and every byte is what was saved.
  bool is_good() const { return problems.empty(); }
};

/// What a checkpoint folder holds.
struct Inspection {
  struct Damage {
    std::string file;  ///< below the folder
    std::string what;
  };

  std::vector<InspectedCheckpoint> checkpoints{};  ///< newest first
  std::vector<Attempt> attempts{};                 ///< that began here, in their order
  std::vector<std::string> leftovers{};  ///< files that belong to no checkpoint: of saves never completed, or under way
  std::vector<Damage> damaged{};         ///< entries of the journal that cannot be read

  /// The newest that is good; nullptr when none is.
  const InspectedCheckpoint* newest_good() const;
};

/// Looks at a checkpoint folder and reads every byte of it, changing nothing: without communication, and beside a job that
/// writes there. Checkpoints that are removed meanwhile are left out.
/// Cost:   one read of all files; memory for the manifests, the header of one part and one window of 4 MiB (or of one chunk,
///         when those are larger).
/// Errors: invalid_argument when `path` is no checkpoint folder, or not there; system when it cannot be listed. What is wrong with
///         a checkpoint is part of the result.
Inspection inspect(FileSystem& files, const std::string& path);

}  // namespace trireme::checkpoint
