// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/descriptor.hpp"

#include <cstddef>
#include <span>
#include <utility>

#include <sys/types.h>

namespace trireme::cli {

/// Anonymous memory that other processes of the host can map while its maker holds it open. Zero at first. Move only.
class SharedSegment {
 public:
  SharedSegment() = default;
  SharedSegment(SharedSegment&& other) noexcept
      : file_(std::move(other.file_)), bytes_(std::exchange(other.bytes_, {})) {}
  SharedSegment& operator=(SharedSegment&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~SharedSegment();

  /// Errors: system.
  static SharedSegment make(std::size_t size);
  /// Maps the one that `process` made as its `descriptor`. Unmapped when it cannot.
  static SharedSegment of(pid_t process, int descriptor, std::size_t size) noexcept;

  int descriptor() const { return file_.get(); }
  bool is_mapped() const { return bytes_.data() != nullptr; }
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  Descriptor file_;  // of the maker only
  std::span<std::byte> bytes_;
};

}  // namespace trireme::cli
