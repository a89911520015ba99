// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// A file being written, from its begin. The destructor closes it, without a word on failure: what counts is sync().
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
  /// Everything written is on the device when it returns.
  virtual void sync() = 0;
};

/// A file being read. Threads: any number at once.
class InputFile {
 public:
  virtual ~InputFile() = default;
  virtual std::uint64_t size() const = 0;
  /// Fills `bytes` from `offset` on.  Errors: corrupt when the file ends before.
  virtual void read(std::uint64_t offset, std::span<std::byte> bytes) const = 0;
};

/// What checkpoints ask of storage: no more than mounts of object stores can do. No file changes once it is closed, and nothing
/// but replace(), which checkpoints never call, takes a name from one file and gives it to another.
/// Threads: any.  Errors: Exception system naming the file and the reason, unless said otherwise.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// The folder and those above it exist when it returns.
  virtual void make_folder(const std::string& path) = 0;
  /// Names of what a folder holds, sorted; none when it is not there.
  virtual std::vector<std::string> list(const std::string& folder) const = 0;
  /// Bytes of a file; nothing when there is none.
  virtual std::optional<std::uint64_t> size(const std::string& path) const = 0;

  /// A new file. Errors: system also when there is one of that name.
  virtual std::unique_ptr<OutputFile> create(const std::string& path) = 0;
  virtual std::unique_ptr<InputFile> open(const std::string& path) const = 0;
  /// The second name of a file, which is there whole or not at all: false when `to` is there already; nothing when this
  /// storage has no second names.
  virtual std::optional<bool> link(const std::string& from, const std::string& to) = 0;
  /// Gives the closed file `from` the name `to`, whichever file had it before; nothing is called `from` any more. Where the
  /// storage renames, `to` is at every moment the old file or the new one. This one, of the other operations, is for any other
  /// storage: `to` is gone for a moment, and without second names grows as a copy does.
  virtual void replace(const std::string& from, const std::string& to);
  /// The names of what a folder holds are on the device when it returns.
  virtual void sync_folder(const std::string& folder) = 0;
  /// False when there was none.
  virtual bool remove(const std::string& path) = 0;
  /// False when it was not there, or is not empty.
  virtual bool remove_folder(const std::string& path) = 0;
};

/// A small file whole.  Errors: those of FileSystem; corrupt when it is longer than `most`.
std::vector<std::byte> read_file(const FileSystem& files, const std::string& path, std::uint64_t most);

}  // namespace trireme::checkpoint
