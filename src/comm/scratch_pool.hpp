// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/transport/arena.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace trireme::comm {

/// Working memory of operations, in the arena so that partial results too are read in place. Sizes are powers of two;
/// what comes back is kept. Under the progress lock.
/// Cost: after `prepare` no allocation until more than `buffers_ahead` of a size are in use at once. Pages never written
///       cost address space only.
class ScratchPool {
 public:
  static constexpr std::size_t buffers_ahead = 8;

  explicit ScratchPool(std::shared_ptr<transport::Arena> arena) : arena_(std::move(arena)) {}
  ~ScratchPool() {
    for (auto& size : sizes_) {
      for (auto buffer : size.free) arena_->release(buffer);
    }
  }
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;

  /// Makes sure that `buffers_ahead` buffers of at least `bytes` exist.
  void prepare(std::size_t bytes) {
    if (bytes == 0) return;
    auto& size = sizes_[index(bytes)];
    if (size.made >= buffers_ahead) return;
    size.free.reserve(4 * buffers_ahead);
    while (size.made < buffers_ahead) {
      size.free.push_back(arena_->allocate(rounded(bytes)));
      ++size.made;
    }
  }
  std::span<std::byte> acquire(std::size_t bytes) {
    if (bytes == 0) return {};
    auto& size = sizes_[index(bytes)];
    if (size.free.empty()) {
      ++size.made;
      return arena_->allocate(rounded(bytes));
    }
    auto buffer = size.free.back();
    size.free.pop_back();
    return buffer;
  }
  void release(std::span<std::byte> buffer) noexcept {
    if (!buffer.empty()) sizes_[index(buffer.size())].free.push_back(buffer);
  }

 private:
  struct Size {
    std::vector<std::span<std::byte>> free;
    std::size_t made = 0;
  };
  static constexpr std::size_t smallest = 4096;
  static std::size_t rounded(std::size_t bytes) { return std::bit_ceil(std::max(bytes, smallest)); }
  static std::size_t index(std::size_t bytes) { return static_cast<std::size_t>(std::countr_zero(rounded(bytes))); }
  std::shared_ptr<transport::Arena> arena_;
  std::array<Size, 64> sizes_;
};

}  // namespace trireme::comm
