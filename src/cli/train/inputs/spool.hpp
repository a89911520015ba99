// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/inputs/fifo_source.hpp"
#include "cli/train/inputs/scratch.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace trireme::cli {

/// Reads the first epoch of a pipe to its end and keeps it as files: of records, one each with `apart`, else all in one. Training
/// jumps from sample to sample and passes over them again, and a pipe does neither; so later epochs are not opened.
/// Cost:   the data once more, in scratch, and the time to write it before training begins.
/// Errors: those of FifoSource, RecordIoReader and ScratchFile; invalid_argument for more records than a folder should hold, or a
///         pipe without a byte; of a sharded channel that one makes no file.
std::vector<std::filesystem::path> spool_pipe(const platform::InputChannel& channel, bool apart, Scratch& scratch,
                                              const FifoWait& wait);

}  // namespace trireme::cli
