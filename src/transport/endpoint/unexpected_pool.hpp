// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "transport/endpoint/frame.hpp"

#include <algorithm>
#include <cstddef>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>

namespace trireme::transport {

/// Where messages that nothing waits for yet are kept: entries with room for one eager payload each, handed out last in
/// first out. A peer may run a thousand small operations ahead; the memory for that is set aside as address space when
/// the link is made, and a page of it costs something only once it has been written.
/// `Entry` is default-constructible and has a member `payload`, set here to its room.
/// Cost: no heap call; a system call when more than `entries_per_chunk` are out at once.
template <class Entry>
class UnexpectedPool {
 public:
  static constexpr std::size_t entries_per_chunk = 1024;

  UnexpectedPool() = default;
  UnexpectedPool(const UnexpectedPool&) = delete;
  UnexpectedPool& operator=(const UnexpectedPool&) = delete;
  ~UnexpectedPool() {
    for (const auto& chunk : chunks_) ::munmap(chunk.data(), chunk.size());
  }

  /// Sets the first chunk aside; false when the system has no address space left.
  bool open(std::size_t payload_bytes) {
    payload_bytes_ = (payload_bytes + 63) / 64 * 64;
    // Under a limit of address space (ulimit -v) what is set aside for every peer must not be what the program lacks.
    rlimit space{};
    if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
      entries_ = std::clamp<std::size_t>(space.rlim_cur / 256 / entry_bytes(), 16, entries_per_chunk);
    fresh_ = entries_;
    chunks_.reserve(16);
    free_.reserve(entries_);
    return add_chunk();
  }
  /// Null when the system has no memory left.
  Entry* take() noexcept {
    if (!free_.empty()) {
      Entry* entry = free_.back();
      free_.pop_back();
      return entry;
    }
    if (fresh_ == entries_ && !add_chunk()) return nullptr;
    std::byte* chunk = chunks_.back().data();
    auto* entry = new (chunk + fresh_ * stride) Entry;
    entry->payload = {chunk + entries_ * stride + fresh_ * payload_bytes_, payload_bytes_};
    ++fresh_;
    return entry;
  }
  void put_back(Entry* entry) noexcept { free_.push_back(entry); }
  /// Memory behind one entry.
  std::size_t entry_bytes() const { return stride + payload_bytes_; }

 private:
  static constexpr std::size_t stride = (sizeof(Entry) + 63) / 64 * 64;

  bool add_chunk() noexcept {
    const std::size_t bytes = entries_ * (stride + payload_bytes_);
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    chunks_.push_back({static_cast<std::byte*>(memory), bytes});
    fresh_ = 0;
    return true;
  }

  std::size_t payload_bytes_ = 0;
  std::vector<std::span<std::byte>> chunks_;
  std::size_t entries_ = entries_per_chunk;  // of a chunk
  std::size_t fresh_ = entries_per_chunk;    // entries of the last chunk ever handed out
  std::vector<Entry*> free_;
};

}  // namespace trireme::transport
