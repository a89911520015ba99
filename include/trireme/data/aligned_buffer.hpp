// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace trireme::data {

/// Owned memory for `count` elements, zeroed and aligned to 64 bytes: a cache line, and the alignment under which
/// vectorised sums keep their bits. Move only; moving keeps the address.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  static constexpr std::size_t alignment = 64;

  AlignedBuffer() = default;
  /// Errors: std::bad_alloc.
  explicit AlignedBuffer(std::size_t count) : count_(count) {
    if (count == 0) return;
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_alloc();
    data_ = static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{alignment}));
    std::memset(static_cast<void*>(data_), 0, count * sizeof(T));
  }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~AlignedBuffer() {
    if (data_ != nullptr) ::operator delete (data_, std::align_val_t{alignment});
  }

  T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return count_; }
  std::span<T> span() const noexcept { return {data_, count_}; }

  /// Makes room for at least `count` elements. The contents are lost when the buffer has to grow.
  void ensure(std::size_t count) {
    if (count > count_) *this = AlignedBuffer(count);
  }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace trireme::data
