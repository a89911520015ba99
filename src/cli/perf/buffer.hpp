// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/memory.hpp"
#include "trireme/data/aligned_buffer.hpp"

#include <cstddef>
#include <span>

namespace trireme::cli {

/// Memory to measure with: of the world's arena, or any other.
class PerfBuffer {
 public:
  PerfBuffer(const Memory& memory, Bytes size, bool arena) {
    if (arena) {
      arena_ = memory.allocate(size);
      bytes_ = arena_.bytes().first(size.value);
    } else {
      foreign_ = data::AlignedBuffer<std::byte>(size.value);
      bytes_ = foreign_.span();
    }
  }

  std::span<std::byte> first(std::size_t size) const { return bytes_.first(size); }

 private:
  ArenaBuffer arena_;
  data::AlignedBuffer<std::byte> foreign_;
  std::span<std::byte> bytes_;
};

}  // namespace trireme::cli
