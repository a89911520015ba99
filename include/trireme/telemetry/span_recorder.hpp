// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::telemetry {

/// A name that stands in the program's text, so that recording it is storing its address.
class Literal {
 public:
  template <std::size_t size>
  consteval Literal(const char (&text)[size]) : text_(text) {}
  constexpr const char* text() const noexcept { return text_; }

 private:
  const char* text_;
};

/// One number that an event says about itself, as in bucket: 3. Without a name there is none.
struct Detail {
  Literal name = "";
  std::int64_t value = 0;
};

/// What is drawn as one line of time: a thread, or what is under way beside it. Made by SpanRecorder::track.
enum class Track : std::uint32_t {};

/// What was recorded, as it is stored.
struct Event {
  const char* name;
  const char* detail_name;  ///< empty: no detail
  std::int64_t begin_ns;    ///< of the steady clock
  std::int64_t end_ns;      ///< of the steady clock; of an instant: its begin
  std::int64_t detail_value;
  Track track;
  bool instant;
};

/// Keeps what happened when, for a look at it afterwards: the first `capacity` events; later ones are counted only.
/// Cost:    48 bytes per event, taken from the heap at construction and touched as events come; recording is one atomic
///          addition and one store of an event: no heap, no lock, no system call.
/// Threads: any number record at once; track() and reading want that nobody else records or reads.
class SpanRecorder {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t default_capacity = 1'000'000;

  explicit SpanRecorder(std::size_t capacity = default_capacity);
  SpanRecorder(const SpanRecorder&) = delete;
  SpanRecorder& operator=(const SpanRecorder&) = delete;

  /// The track of that name, made when it is new: tracks are drawn in the order in which they were made. Allocates.
  Track track(std::string_view name);

  void span(Track track, Literal name, Clock::time_point begin, Clock::time_point end, Detail detail = {}) noexcept {
    store({name.text(), detail.name.text(), nanoseconds(begin), nanoseconds(end), detail.value, track, false});
  }
  void instant(Track track, Literal name, Clock::time_point at, Detail detail = {}) noexcept {
    store({name.text(), detail.name.text(), nanoseconds(at), nanoseconds(at), detail.value, track, true});
  }

  /// In the order in which recording began.
  std::span<const Event> events() const noexcept;
  std::size_t capacity() const noexcept { return capacity_; }
  /// Events that came when it was full.
  std::uint64_t dropped() const noexcept;
  const std::vector<std::string>& tracks() const noexcept { return tracks_; }
  /// What to add to nanoseconds of the steady clock to get Unix time, as it was at construction.
  std::int64_t unix_offset_ns() const noexcept { return unix_offset_ns_; }

 private:
  static std::int64_t nanoseconds(Clock::time_point moment) noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(moment.time_since_epoch()).count();
  }
  void store(const Event& event) noexcept {
    const std::uint64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index < capacity_) events_[index] = event;
  }

  std::size_t capacity_;
  std::unique_ptr<Event[]> events_;
  std::atomic<std::uint64_t> next_{0};
  std::int64_t unix_offset_ns_;
  std::vector<std::string> tracks_;
};

}  // namespace trireme::telemetry
