// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/memory.hpp"
#include "trireme/data/aligned_buffer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::cli {

/// Buffers of one size, side by side in one memory, that calls use in turn: a call meets its buffer only after as many
/// others have gone through the caches, up to `spread` bytes of them.
class Rotation {
 public:
  static constexpr std::size_t most = 8;
  static constexpr std::size_t spread = std::size_t{32} << 20;

  Rotation(std::size_t size, bool rotates)
      : size_(size),
        stride_((size + 127) / 128 * 128),
        buffers_(rotates ? std::clamp<std::size_t>(spread / std::max<std::size_t>(stride_, 1), 1, most) : 1) {}

  std::size_t buffers() const { return buffers_; }
  /// Of all buffers together.
  std::size_t bytes() const { return buffers_ * stride_; }
  std::size_t offset(std::uint64_t turn) const { return static_cast<std::size_t>(turn % buffers_) * stride_; }
  std::span<std::byte> of(std::span<std::byte> memory, std::uint64_t turn) const {
    return memory.subspan(offset(turn), size_);
  }

 private:
  std::size_t size_;
  std::size_t stride_;
  std::size_t buffers_;
};

/// Memory to measure with: of the world's arena, or any other.
class PerfBuffer {
 public:
  PerfBuffer(const Memory& memory, Bytes size, bool arena) {
    if (size.value == 0) return;
    if (arena) {
      arena_ = memory.allocate(size);
      bytes_ = arena_.bytes().first(size.value);
    } else {
      foreign_ = data::AlignedBuffer<std::byte>(size.value);
      bytes_ = foreign_.span();
    }
  }

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  ArenaBuffer arena_;
  data::AlignedBuffer<std::byte> foreign_;
  std::span<std::byte> bytes_;
};

}  // namespace trireme::cli
