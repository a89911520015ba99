// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace trireme {

namespace transport {
class Arena;
}

/// A range of arena memory, owned: zero at first, aligned to 128 bytes, given back when destroyed. Move only.
class ArenaBuffer {
 public:
  ArenaBuffer() = default;
  ArenaBuffer(ArenaBuffer&& other) noexcept
      : arena_(std::move(other.arena_)), range_(std::exchange(other.range_, {})) {}
  ArenaBuffer& operator=(ArenaBuffer&& other) noexcept {
    std::swap(arena_, other.arena_);
    std::swap(range_, other.range_);
    return *this;
  }
  ~ArenaBuffer();

  std::span<std::byte> bytes() const { return range_; }
  /// The range as whole elements of T.
  template <class T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(range_.data()), range_.size() / sizeof(T)};
  }

 private:
  friend class Memory;
  ArenaBuffer(std::shared_ptr<transport::Arena> arena, std::span<std::byte> range)
      : arena_(std::move(arena)), range_(range) {}
  std::shared_ptr<transport::Arena> arena_;
  std::span<std::byte> range_;
};

/// Memory that the ranks of this host read in place, and where they write the result of a collective that this rank has
/// begun: collectives on it need no copy. Outlives communicators and epochs.
/// A cheap value. Threads: any.
class Memory {
 public:
  explicit Memory(std::shared_ptr<transport::Arena> arena) : arena_(std::move(arena)) {}
  /// Errors: system when the arena's reserve is exhausted.
  ArenaBuffer allocate(Bytes size) const;
  template <class T>
  ArenaBuffer allocate(std::size_t count) const {
    return allocate(Bytes{count * sizeof(T)});
  }
  /// Whether [data, data + size) is arena memory of this world.
  bool contains(const void* data, Bytes size) const;

 private:
  std::shared_ptr<transport::Arena> arena_;
};

}  // namespace trireme
