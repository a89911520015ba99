// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace trireme::transport {

/// The shared part of a single-writer single-reader byte ring; `capacity` bytes of data follow it. Each counter has one
/// writer and a pair of cache lines of its own. Zero bytes are a valid empty ring, so fresh pages need no set-up.
struct RingHeader {
  alignas(128) std::atomic<std::uint64_t> head;  ///< bytes ever written
  alignas(128) std::atomic<std::uint64_t> tail;  ///< bytes ever read
  alignas(128) std::atomic<std::uint32_t> reader_sleeps;
  std::atomic<std::uint32_t> writer_sleeps;
  std::atomic<std::uint32_t> ended;  ///< RingEnd: how the writer has ended its stream
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

enum class RingEnd : std::uint32_t { open = 0, closed = 1, lost = 2 };

/// Bytes a ring of `capacity` (a power of two) takes.
constexpr std::size_t ring_bytes(std::size_t capacity) { return sizeof(RingHeader) + capacity; }

/// The writing end. The index wraps by a mask; a piece that crosses the end is copied in two parts.
/// Order: head is published with sequential consistency, so that either the writer sees reader_sleeps or the reader
///        sees the bytes (Dekker's argument); everything else is acquire and release.
class RingWriter {
 public:
  RingWriter() = default;
  RingWriter(RingHeader* header, std::size_t capacity)
      : header_(header), data_(reinterpret_cast<std::byte*>(header + 1)), capacity_(capacity) {}

  std::size_t write(std::span<const std::span<const std::byte>> parts) noexcept {
    std::size_t total = 0;
    for (auto part : parts) total += part.size();
    if (capacity_ - (head_ - tail_seen_) < total) tail_seen_ = header_->tail.load(std::memory_order_acquire);
    // A hostile or broken peer may publish any tail: one ahead of the head must not become room beyond the ring.
    const std::uint64_t held = head_ - tail_seen_;
    std::size_t room = held <= capacity_ ? capacity_ - static_cast<std::size_t>(held) : 0;
    std::size_t taken = 0;
    for (auto part : parts) {
      const std::size_t now = std::min(part.size(), room);
      put(part.data(), now);
      room -= now;
      taken += now;
      if (now < part.size()) break;
    }
    if (taken != 0) header_->head.store(head_, std::memory_order_seq_cst);
    return taken;
  }
  bool has_room() noexcept {
    tail_seen_ = header_->tail.load(std::memory_order_seq_cst);
    return head_ - tail_seen_ < capacity_;
  }
  /// True once per sleep of the reader: ring its doorbell.
  bool reader_must_wake() noexcept {
    return header_->reader_sleeps.load(std::memory_order_seq_cst) != 0 &&
           header_->reader_sleeps.exchange(0, std::memory_order_seq_cst) != 0;
  }
  void set_sleeping(bool sleeping) noexcept {
    header_->writer_sleeps.store(sleeping ? 1 : 0, std::memory_order_seq_cst);
  }
  void end(RingEnd how) noexcept { header_->ended.store(static_cast<std::uint32_t>(how), std::memory_order_release); }

 private:
  void put(const std::byte* bytes, std::size_t count) noexcept {
    if (count == 0) return;
    const std::size_t at = static_cast<std::size_t>(head_) & (capacity_ - 1);
    const std::size_t first = std::min(count, capacity_ - at);
    std::memcpy(data_ + at, bytes, first);
    if (first < count) std::memcpy(data_, bytes + first, count - first);
    head_ += count;
  }
  RingHeader* header_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::uint64_t head_ = 0;
  std::uint64_t tail_seen_ = 0;
};

/// The reading end.
class RingReader {
 public:
  RingReader() = default;
  RingReader(RingHeader* header, std::size_t capacity)
      : header_(header), data_(reinterpret_cast<std::byte*>(header + 1)), capacity_(capacity) {}

  std::size_t read(std::span<std::byte> into) noexcept {
    if (head_seen_ - tail_ < into.size()) head_seen_ = header_->head.load(std::memory_order_acquire);
    // A hostile or broken peer may publish any head: never more than the ring can hold.
    const std::size_t there = std::min(static_cast<std::size_t>(head_seen_ - tail_), capacity_);
    const std::size_t count = std::min(there, into.size());
    if (count == 0) return 0;
    const std::size_t at = static_cast<std::size_t>(tail_) & (capacity_ - 1);
    const std::size_t first = std::min(count, capacity_ - at);
    std::memcpy(into.data(), data_ + at, first);
    if (first < count) std::memcpy(into.data() + first, data_, count - first);
    tail_ += count;
    header_->tail.store(tail_, std::memory_order_seq_cst);
    return count;
  }
  bool has_bytes() noexcept {
    head_seen_ = header_->head.load(std::memory_order_seq_cst);
    return head_seen_ != tail_;
  }
  bool writer_must_wake() noexcept {
    return header_->writer_sleeps.load(std::memory_order_seq_cst) != 0 &&
           header_->writer_sleeps.exchange(0, std::memory_order_seq_cst) != 0;
  }
  void set_sleeping(bool sleeping) noexcept {
    header_->reader_sleeps.store(sleeping ? 1 : 0, std::memory_order_seq_cst);
  }
  RingEnd ended() const noexcept { return static_cast<RingEnd>(header_->ended.load(std::memory_order_acquire)); }

 private:
  RingHeader* header_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::uint64_t tail_ = 0;
  std::uint64_t head_seen_ = 0;
};

}  // namespace trireme::transport
