// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/array_memory.hpp"

#include <cstddef>
#include <limits>
#include <new>
#include <span>
#include <type_traits>

namespace trireme::data {

/// Owned memory for `count` elements, zeroed and aligned to 64 bytes: see ArrayMemory. Move only; moving keeps the address.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  static constexpr std::size_t alignment = ArrayMemory::alignment;

  AlignedBuffer() = default;
  /// Errors: std::bad_alloc.
  explicit AlignedBuffer(std::size_t count) : memory_(bytes_of(count)) {}

  T* data() const noexcept { return reinterpret_cast<T*>(memory_.data()); }
  std::size_t size() const noexcept { return memory_.size() / sizeof(T); }
  std::span<T> span() const noexcept { return {data(), size()}; }

  /// Makes room for at least `count` elements. The contents are lost when the buffer has to grow.
  void ensure(std::size_t count) {
    if (count > size()) *this = AlignedBuffer(count);
  }

 private:
  static std::size_t bytes_of(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_alloc();
    return count * sizeof(T);
  }

  ArrayMemory memory_;
};

}  // namespace trireme::data
