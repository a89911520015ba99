// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/file_system.hpp"
#include "trireme/checkpoint/manifest.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// A checkpoint folder as those see it who do not train there: what is complete, while a job beside them writes and removes. It
/// takes nothing over, makes nothing and writes nothing; the folder need not be there yet. load() reads what it finds; a checkpoint
/// that retention removes meanwhile shows as an error of load(), and is_there() then says no.
/// Not collective: every process looks for itself.
/// Threads: one at a time.
class Onlooker {
 public:
  /// `files` must outlive it.
  Onlooker(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  /// The newest complete checkpoint; nothing when there is none.
  /// Cost:   one listing of the journal; its entries are read when that has changed since, or what they name was not there yet.
  /// Errors: system when the folder cannot be read.
  std::optional<Manifest> newest();
  /// Whether its manifest and all its files are still there.
  bool is_there(const Manifest& manifest) const;
  const std::string& path() const { return path_; }
  FileSystem& files() const { return files_; }

 private:
  FileSystem& files_;
  std::string path_;
  std::vector<std::string> seen_;  // names in the journal, when it was last read
  bool is_settled_ = false;        // all of what stood there was complete
  std::optional<Manifest> newest_;
};

}  // namespace trireme::checkpoint
