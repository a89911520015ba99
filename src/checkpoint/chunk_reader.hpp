// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/file_system.hpp"
#include "trireme/checkpoint/manifest.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace trireme::checkpoint {

/// Where the parts of a checkpoint are read from.
class PartSource {
 public:
  virtual ~PartSource() = default;
  /// Fills `to` with the bytes of a part from `offset` on.
  virtual void read(std::uint32_t part, std::uint64_t offset, std::span<std::byte> to) = 0;
};

/// Parts that lie in a folder.
class FilePartSource final : public PartSource {
 public:
  /// All must outlive it.
  FilePartSource(const FileSystem& files, const std::string& folder, const Manifest& manifest)
      : files_(files), folder_(folder), manifest_(manifest) {}
  void read(std::uint32_t part, std::uint64_t offset, std::span<std::byte> to) override;

 private:
  const FileSystem& files_;
  const std::string& folder_;
  const Manifest& manifest_;
  std::map<std::uint32_t, std::unique_ptr<InputFile>> open_;
};

/// Whole chunks `[chunk, chunk + bytes/chunk_bytes)` of a slice are in `bytes`, as they were read: are they what the manifest
/// says?  Errors: corrupt naming file and tensor.
void check_chunks(const Manifest& manifest, const TensorRecord& tensor, const Slice& slice, std::size_t chunk,
                  std::span<const std::byte> bytes);

/// Reads a part's header and compares it.  Errors: corrupt naming the file.
void check_header(PartSource& source, const Manifest& manifest, std::uint32_t part);

}  // namespace trireme::checkpoint
