// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/transport/arena.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace trireme::comm {

/// Working memory of operations, in the arena so that partial results too are read in place. Sizes are powers of two;
/// what comes back is kept. Under the progress lock.
/// Cost: after `prepare` no allocation until more than the prepared number of a size are in use at once. Pages never
///       written cost address space only.
class ScratchPool {
 public:
  explicit ScratchPool(std::shared_ptr<transport::Arena> arena) : arena_(std::move(arena)) {}
  ~ScratchPool() {
    for (auto& size : sizes_) {
      for (auto buffer : size.free) arena_->release(buffer);
    }
  }
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;

  /// Makes what `operations` operations in flight need that each take a buffer of `first` and one of `second` bytes; of
  /// large buffers fewer, so that what is set aside for one size never exceeds an eighth of the arena.
  /// Errors: system when the arena is exhausted.
  void prepare(std::size_t first, std::size_t second, std::size_t operations) {
    const bool same_size = first != 0 && second != 0 && index(first) == index(second);
    prepare(first, same_size ? 2 * operations : operations);
    if (!same_size) prepare(second, operations);
  }
  /// Errors: system when the arena is exhausted.
  std::span<std::byte> acquire(std::size_t bytes) {
    if (bytes == 0) return {};
    auto& size = sizes_[index(bytes)];
    if (size.free.empty()) {
      const auto buffer = arena_->allocate(rounded(bytes));
      size.free.reserve(++size.made);  // so that giving back never allocates
      return buffer;
    }
    auto buffer = size.free.back();
    size.free.pop_back();
    return buffer;
  }
  /// What it is made of.
  const std::shared_ptr<transport::Arena>& arena() const { return arena_; }
  void release(std::span<std::byte> buffer) noexcept {
    if (!buffer.empty()) sizes_[index(buffer.size())].free.push_back(buffer);
  }

 private:
  struct Size {
    std::vector<std::span<std::byte>> free;
    std::size_t made = 0;
  };
  void prepare(std::size_t bytes, std::size_t buffers) {
    if (bytes == 0) return;
    auto& size = sizes_[index(bytes)];
    buffers = std::clamp<std::size_t>(arena_->reserve() / 8 / rounded(bytes), 1, buffers);
    if (size.made >= buffers) return;
    size.free.reserve(buffers);
    while (size.made < buffers) {
      size.free.push_back(arena_->allocate(rounded(bytes)));
      ++size.made;
    }
  }
  static constexpr std::size_t smallest = 4096;
  static std::size_t rounded(std::size_t bytes) { return std::bit_ceil(std::max(bytes, smallest)); }
  static std::size_t index(std::size_t bytes) { return static_cast<std::size_t>(std::countr_zero(rounded(bytes))); }
  std::shared_ptr<transport::Arena> arena_;
  std::array<Size, 64> sizes_;
};

}  // namespace trireme::comm
