// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/inspect.hpp"

#include <string>

namespace trireme::cli {

/// What `trireme doctor --checkpoint` says of a folder.
struct CheckpointReport {
  std::string path;
  checkpoint::Inspection inspection;
  bool tensors = false;  ///< name each of them
};

/// Whether a job can go on from there, and nothing is wrong: at least one checkpoint is good, and none is damaged.
bool is_sound(const checkpoint::Inspection& inspection);

/// One line of JSON: {"checkpoint": …}. A checkpoint has `tensor_list` where the tensors are asked for.
std::string to_json(const CheckpointReport& report);

/// A table, newest first, with what is wrong below each row.
std::string to_text(const CheckpointReport& report);

}  // namespace trireme::cli
