// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>

namespace trireme {

/// Owned memory for the elements of an array: zeroed, and at 64 bytes, a cache line, under which vectorised sums keep their bits.
/// Where whole huge pages lie in it they are asked for, and the system may refuse: kernels that pass over whole arrays, or gather
/// from anywhere in them, spend less on translating addresses. No byte more than asked for. Move only; moving keeps the address.
class ArrayMemory {
 public:
  static constexpr std::size_t alignment = 64;

  ArrayMemory() = default;
  /// Errors: std::bad_alloc.
  explicit ArrayMemory(std::size_t bytes);
  ArrayMemory(ArrayMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  ArrayMemory& operator=(ArrayMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~ArrayMemory();

  std::byte* data() const noexcept { return data_; }
  /// As asked for.
  std::size_t size() const noexcept { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Asks for huge pages where whole ones lie in [data, data + bytes), before anything is written there: of memory that others own.
void ask_for_huge_pages(void* data, std::size_t bytes) noexcept;

}  // namespace trireme
