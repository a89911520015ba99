// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/ticks.hpp"
#include "trireme/comm/request.hpp"
#include "trireme/transport/endpoint.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace trireme::comm {

/// The last operations of one communicator: always on, written under the progress lock, read by any thread at any time
/// without one (an entry that changes while it is read is left out).
class FlightRecorder {
 public:
  static constexpr std::size_t capacity = 2048;
  enum class Outcome : std::uint64_t { issued = 1, done = 2, failed = 3 };

  FlightRecorder();
  /// `tick`: of ticks(). `device`: on device memory.
  void issued(std::uint64_t sequence, const transport::Stamp& stamp, const std::array<char, 32>& label,
              std::int64_t tick, bool device = false) noexcept;
  void ended(std::uint64_t sequence, Outcome outcome, std::int64_t tick) noexcept;
  /// An issued operation was refused before it began: its number will be another's.
  void forgotten(std::uint64_t sequence) noexcept {
    Entry& slot = entry(sequence);
    if (slot.sequence.load(std::memory_order_relaxed) == sequence) slot.version.store(0, std::memory_order_release);
  }
  /// The signature of a recorded operation, while it is still here. Under the progress lock only.
  std::optional<transport::Stamp> signature(std::uint64_t sequence) const noexcept;
  /// Its label; empty when it had none or is not here any more. Under the progress lock only.
  std::string label(std::uint64_t sequence) const;
  /// The entries, oldest first, as a JSON array; their times as `reading` has them.
  std::string to_json(const TickReading& reading = {}) const;

 private:
  struct Entry {
    std::atomic<std::uint64_t> version{0};  // odd while being written; 0: never used
    std::atomic<std::uint64_t> sequence{0};
    std::array<std::atomic<std::uint64_t>, 3> stamp{};
    std::array<std::atomic<std::uint64_t>, 4> label{};
    std::atomic<std::int64_t> started{0};
    std::atomic<std::int64_t> ended{0};
    std::atomic<std::uint64_t> outcome{0};
    std::atomic<bool> device{false};
  };
  static std::string label_of(const Entry& slot);
  Entry& entry(std::uint64_t sequence) const { return entries_[sequence % capacity]; }
  std::unique_ptr<Entry[]> entries_;
};

/// `text` with what JSON needs escaped.
std::string json_escaped(std::string_view text);

}  // namespace trireme::comm
