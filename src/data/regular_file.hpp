// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace trireme::data {

/// A descriptor of a regular file, open for reading.
/// Errors: invalid_argument naming the path when it is missing, unreadable, a directory or no regular file.
int open_regular_file(const std::filesystem::path& path);

/// A regular file that is read at any place and must stay as it was when it was opened.
/// Threads: any number at a time.
class RegularFile {
 public:
  /// Errors: those of open_regular_file.
  explicit RegularFile(const std::filesystem::path& path);
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;
  ~RegularFile();

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  int descriptor() const { return descriptor_; }

  /// Fills `out` with the bytes from `offset` on.
  /// Errors: corrupt naming the path when the file ends before; system.
  void read(std::uint64_t offset, std::span<char> out) const;
  /// Errors: corrupt naming the path when size or time of change are not those of its opening.
  void require_unchanged() const;

 private:
  std::string name_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::int64_t seconds_ = 0;
  std::int64_t nanoseconds_ = 0;
};

}  // namespace trireme::data
