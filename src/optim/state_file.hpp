// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace trireme::optim {

/// A file without a name, gone with the process whatever ends it, of which states get extents.
/// Errors: system, naming the folder and the cause.
/// Threads: one at a time.
class StateFile {
 public:
  explicit StateFile(const std::string& folder);
  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  /// Room that writes will find, of unspecified content; its offset. Whole pages: `bytes` is rounded up.
  /// Errors: system when there is none (a full disk); nothing has changed.
  std::uint64_t take(std::uint64_t bytes);
  void give_back(std::uint64_t offset, std::uint64_t bytes) noexcept;
  void read(std::uint64_t offset, std::span<std::byte> to) const;
  void write(std::uint64_t offset, std::span<const std::byte> from) const;
  /// These bytes are read next: the system may begin.
  void expect(std::uint64_t offset, std::uint64_t bytes) const noexcept;
  /// The bytes as memory that writes through to the file.  Shape: `bytes` > 0.
  std::byte* map(std::uint64_t offset, std::uint64_t bytes) const;
  std::uint64_t bytes() const { return end_; }

 private:
  std::uint64_t whole_pages(std::uint64_t bytes) const;
  void reserve(std::uint64_t offset, std::uint64_t bytes) const;
  [[noreturn]] void fail_to(const char* what, int errno_value) const;

  std::string folder_;
  int descriptor_ = -1;
  std::uint64_t page_ = 4096;
  std::uint64_t end_ = 0;
  std::map<std::uint64_t, std::uint64_t> free_;  // bytes by offset; no two touch, none at the end
};

/// An extent of a StateFile, given back when this ends.
class StateExtent {
 public:
  StateExtent(std::shared_ptr<StateFile> file, std::uint64_t bytes);
  ~StateExtent();
  StateExtent(const StateExtent&) = delete;
  StateExtent& operator=(const StateExtent&) = delete;

  void read(std::uint64_t at, std::span<std::byte> to) const { file_->read(offset_ + at, to); }
  void write(std::uint64_t at, std::span<const std::byte> from) const { file_->write(offset_ + at, from); }
  void expect(std::uint64_t at, std::uint64_t bytes) const noexcept { file_->expect(offset_ + at, bytes); }
  /// All of it as memory, until unmap(); the same again when it is asked for twice.
  std::byte* map();
  void unmap() noexcept;

 private:
  std::shared_ptr<StateFile> file_;
  std::uint64_t bytes_;
  std::uint64_t offset_;
  std::byte* mapped_ = nullptr;
};

}  // namespace trireme::optim
