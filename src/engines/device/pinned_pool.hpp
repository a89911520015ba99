// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"
#include "trireme/transport/arena.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace trireme::engines::device {

/// Arena memory that devices copy from and to without a pageable buffer between: what the host's engine does on it, it
/// does in place. Sizes are powers of two; what comes back is kept.
/// Cost: an allocation, and its pinning, only when more of a size are in use than ever before.
/// Threads: under the progress lock; it ends outside, where nobody uses it any more.
class PinnedPool {
 public:
  PinnedPool(std::shared_ptr<trireme::device::Runtime> runtime, std::shared_ptr<transport::Arena> arena)
      : runtime_(std::move(runtime)), arena_(std::move(arena)) {}
  /// Nothing uses the memory any more.
  ~PinnedPool();
  PinnedPool(const PinnedPool&) = delete;
  PinnedPool& operator=(const PinnedPool&) = delete;

  /// At least `bytes`, aligned to a page; 0: empty.
  /// Errors: system when the arena is exhausted; device when pinning fails.
  std::span<std::byte> acquire(std::size_t bytes);
  void release(std::span<std::byte> buffer) noexcept;

 private:
  struct Size {
    std::vector<std::span<std::byte>> free;
    std::size_t made = 0;
  };
  struct Whole {
    std::span<std::byte> range;  ///< of the arena
    std::byte* pinned;
  };
  static Size& of(std::array<Size, 64>& sizes, std::size_t bytes);
  std::shared_ptr<trireme::device::Runtime> runtime_;
  std::shared_ptr<transport::Arena> arena_;
  std::array<Size, 64> sizes_;
  std::vector<Whole> all_;
};

}  // namespace trireme::engines::device
