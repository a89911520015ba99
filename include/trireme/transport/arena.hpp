// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/transport/arena_directory.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <vector>

namespace trireme::transport {

/// Memory that the other ranks of this host can read and write in place: one memfd, mapped once at a fixed address over its whole
/// reserve, grown as needed. Offsets never change. Neither /dev/shm's size nor any ptrace right matters.
/// Threads: allocate and release from any; they lock, and are for set-up, not for the hot path.
class Arena {
 public:
  static constexpr std::size_t alignment = 128;
  static constexpr std::size_t directory_bytes = (sizeof(ArenaDirectory) + alignment - 1) / alignment * alignment;

  /// Reserves address space (not memory) for `reserve`; 0: usual_reserve().
  /// Errors: system.
  explicit Arena(Bytes reserve = {});
  /// The machine's physical memory, 64 GiB at most; under a limit of this process's address space (RLIMIT_AS) no more than half
  /// of it, or than two thirds for so many arenas that are mapped: its own and those of the ranks of its host.
  static Bytes usual_reserve(std::size_t arenas = 1);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// `bytes` zero bytes, aligned to `alignment`; first fit.
  /// Errors: system "arena reserve of … exhausted" naming the option.
  std::span<std::byte> allocate(std::size_t bytes);
  /// Gives back what allocate returned. The contents become zero when the range is handed out again.
  void release(std::span<std::byte> range) noexcept;

  /// Whether [data, data + bytes) lies in the arena; sets its offset.
  bool contains(const void* data, std::size_t bytes, std::uint64_t& offset) const noexcept;

  /// At the arena's first bytes.
  ArenaDirectory& directory() noexcept { return *reinterpret_cast<ArenaDirectory*>(base_); }

  int descriptor() const { return descriptor_; }
  std::size_t reserve() const { return reserve_; }
  std::byte* base() const { return base_; }

 private:
  /// Makes [0, end) usable. Errors: system when the reserve or the host's memory does not allow it.
  void extend(std::size_t end);

  int descriptor_ = -1;
  std::byte* base_ = nullptr;
  std::size_t reserve_ = 0;
  std::mutex mutex_;
  std::size_t file_size_ = 0;
  std::size_t end_ = 0;                       ///< offset behind the last range ever handed out
  std::map<std::size_t, std::size_t> free_;   ///< offset -> bytes, coalesced
  std::map<std::size_t, std::size_t> taken_;  ///< offset -> bytes
};

/// A peer's arena, mapped for reading and writing: the owner of a part of a reduction writes it where the result is
/// wanted. Growth of the peer's file needs no new mapping.
class PeerArena {
 public:
  /// Takes ownership of `descriptor`. Errors: system; corrupt when the descriptor is not a sealed memfd.
  PeerArena(int descriptor, std::size_t reserve);
  ~PeerArena();
  PeerArena(const PeerArena&) = delete;
  PeerArena& operator=(const PeerArena&) = delete;

  /// Null when the range lies outside the peer's file as it is now.
  std::byte* at(std::uint64_t offset, std::size_t bytes) noexcept;

 private:
  int descriptor_;
  std::byte* base_ = nullptr;
  std::size_t reserve_;
  std::size_t known_size_ = 0;
};

}  // namespace trireme::transport
