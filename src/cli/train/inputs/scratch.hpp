// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/byte_source.hpp"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace trireme::cli {

/// A folder of this job in `parent`, for files that are read once training begins; gone when this is.
class Scratch {
 public:
  /// Errors: invalid_argument when none can be made there.
  explicit Scratch(const std::filesystem::path& parent);
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  const std::filesystem::path& path() const { return path_; }
  /// A name that no file of it has.
  std::filesystem::path new_file();

 private:
  std::filesystem::path path_;
  std::uint64_t files_ = 0;
};

/// What can still be written into a folder.
std::uint64_t room_in(const std::filesystem::path& folder);

/// "345.0 MiB".
std::string mebibytes(std::uint64_t bytes);

/// A new file that is written from beginning to end.
/// Errors: invalid_argument naming the folder when there is no room in it: 32 MiB are left to others; system.
class ScratchFile {
 public:
  explicit ScratchFile(std::filesystem::path path);
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();

  void write(std::span<const std::uint8_t> bytes);
  std::uint64_t size() const { return size_; }

 private:
  void check_room();

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t unchecked_ = 0;  // since room was looked at
};

}  // namespace trireme::cli
