// SPDX-License-Identifier: Apache-2.0
#include "trireme/telemetry/span_recorder.hpp"

#include <algorithm>
#include <limits>

namespace trireme::telemetry {
namespace {

template <class Moment>
std::int64_t nanoseconds_of(Moment moment) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(moment.time_since_epoch()).count();
}

/// Both clocks as close together as a few tries get them: processes of one host then differ by less than a microsecond.
std::int64_t measure_unix_offset() {
  constexpr int tries = 16;
  std::int64_t narrowest = std::numeric_limits<std::int64_t>::max();
  std::int64_t offset = 0;
  for (int i = 0; i < tries; ++i) {
    const std::int64_t before = nanoseconds_of(std::chrono::steady_clock::now());
    const std::int64_t wall = nanoseconds_of(std::chrono::system_clock::now());
    const std::int64_t after = nanoseconds_of(std::chrono::steady_clock::now());
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    offset = wall - (before + narrowest / 2);
  }
  return offset;
}

}  // namespace

SpanRecorder::SpanRecorder(std::size_t capacity)
    : capacity_(capacity),
      events_(std::make_unique_for_overwrite<Event[]>(capacity)),
      unix_offset_ns_(measure_unix_offset()) {}

Track SpanRecorder::track(std::string_view name) {
  const auto found = std::find(tracks_.begin(), tracks_.end(), name);
  const auto index = static_cast<std::uint32_t>(found - tracks_.begin());
  if (found == tracks_.end()) tracks_.emplace_back(name);
  return Track{index};
}

std::span<const Event> SpanRecorder::events() const noexcept {
  return {events_.get(), static_cast<std::size_t>(std::min<std::uint64_t>(next_.load(), capacity_))};
}

std::uint64_t SpanRecorder::dropped() const noexcept {
  const std::uint64_t recorded = next_.load();
  return recorded > capacity_ ? recorded - capacity_ : 0;
}

}  // namespace trireme::telemetry
