// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace trireme::engines::mpi {

/// Memory that MPI writes to. It only grows, and can be left behind for ever: what an operation of a failed world may still
/// be written to must not be given to anybody else.
class Memory {
 public:
  /// At least `bytes`, aligned to cache lines; what was there is lost.
  /// Errors: std::bad_alloc.
  std::byte* reserve(std::size_t bytes) {
    if (bytes > size_) {
      const std::size_t rounded = (bytes + line - 1) / line * line;
      std::unique_ptr<std::byte, Release> grown(static_cast<std::byte*>(std::aligned_alloc(line, rounded)));
      if (grown == nullptr) throw std::bad_alloc();
      bytes_ = std::move(grown);
      size_ = rounded;
    }
    return bytes_.get();
  }
  std::byte* data() const { return bytes_.get(); }
  /// Never to be freed: known to be lost.
  void leave_behind() noexcept {
    static_cast<void>(bytes_.release());
    size_ = 0;
  }
  static constexpr std::size_t line = 64;

 private:
  struct Release {
    void operator()(std::byte* bytes) const noexcept { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Release> bytes_;
  std::size_t size_ = 0;
};

}  // namespace trireme::engines::mpi
