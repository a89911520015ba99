// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace trireme::transport {

/// The first bytes of every arena: where in it the peers find what they look for, by key. One writer, the arena's owner;
/// any number of readers, in other processes too. Zero bytes are a valid empty directory.
class ArenaDirectory {
 public:
  static constexpr std::size_t capacity = 4095;

  /// False when the directory is full. `key` is not 0 and not listed.
  bool publish(std::uint64_t key, std::uint64_t offset) noexcept {
    for (Entry& entry : entries_) {
      if (entry.key.load(std::memory_order_relaxed) != 0) continue;
      entry.offset.store(offset, std::memory_order_relaxed);
      entry.key.store(key, std::memory_order_release);
      return true;
    }
    return false;
  }
  void withdraw(std::uint64_t key) noexcept {
    for (Entry& entry : entries_) {
      if (entry.key.load(std::memory_order_relaxed) == key) entry.key.store(0, std::memory_order_release);
    }
  }
  /// False while the owner has not published it. Keys are never used again, so an entry that is found stays meant.
  bool find(std::uint64_t key, std::uint64_t& offset) const noexcept {
    for (const Entry& entry : entries_) {
      if (entry.key.load(std::memory_order_acquire) != key) continue;
      offset = entry.offset.load(std::memory_order_relaxed);
      return true;
    }
    return false;
  }

 private:
  struct Entry {
    std::atomic<std::uint64_t> key;
    std::atomic<std::uint64_t> offset;
  };
  std::array<Entry, capacity> entries_;
};

}  // namespace trireme::transport
