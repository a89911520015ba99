// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace trireme::data {

/// Bytes in order, from wherever they come. What a parser reads, so that it can be tested and fuzzed without files.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills `out` and returns its size, or less only where the bytes end.
  virtual std::size_t read(std::span<std::uint8_t> out) = 0;
};

/// Bytes in memory, not owned.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
  std::size_t read(std::span<std::uint8_t> out) override;

 private:
  std::span<const std::uint8_t> rest_;
};

/// A regular file.
class FileSource final : public ByteSource {
 public:
  /// Errors: invalid_argument naming the path when it is missing, unreadable, a directory or no regular file.
  explicit FileSource(const std::filesystem::path& path);
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  ~FileSource() override;
  /// Errors: system naming the path.
  std::size_t read(std::span<std::uint8_t> out) override;

 private:
  std::string name_;
  int descriptor_ = -1;
};

/// The contents of `inner`, decompressed when it starts with the gzip magic (1f 8b) and as it is otherwise; the name
/// of a file says nothing. Several gzip members in a row are one stream. `name` is how errors call it. `inner` must
/// outlive the result.
/// Errors: read() throws corrupt naming `name` for damaged, truncated or trailing compressed bytes (CRC-32 and length
///         are checked).
std::unique_ptr<ByteSource> gunzip_if_compressed(ByteSource& inner, std::string name);

}  // namespace trireme::data
