// SPDX-License-Identifier: Apache-2.0
#include "comm/flight_recorder.hpp"

#include "comm/signature.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

namespace trireme::comm {

FlightRecorder::FlightRecorder() : entries_(std::make_unique<Entry[]>(capacity)) {}

void FlightRecorder::issued(std::uint64_t sequence, const transport::Stamp& stamp, const std::array<char, 32>& label,
                            std::int64_t now_ns) noexcept {
  Entry& slot = entry(sequence);
  const auto version = slot.version.load(std::memory_order_relaxed);
  slot.version.store(version | 1, std::memory_order_release);
  slot.sequence.store(sequence, std::memory_order_release);
  for (std::size_t i = 0; i < 3; ++i) slot.stamp[i].store(stamp.words[i], std::memory_order_release);
  for (std::size_t i = 0; i < 4; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, label.data() + 8 * i, 8);
    slot.label[i].store(word, std::memory_order_release);
  }
  slot.started_ns.store(now_ns, std::memory_order_release);
  slot.ended_ns.store(0, std::memory_order_release);
  slot.outcome.store(static_cast<std::uint64_t>(Outcome::issued), std::memory_order_release);
  slot.version.store((version | 1) + 1, std::memory_order_release);
}

void FlightRecorder::ended(std::uint64_t sequence, Outcome outcome, std::int64_t now_ns) noexcept {
  Entry& slot = entry(sequence);
  if (slot.version.load(std::memory_order_relaxed) == 0 || slot.sequence.load(std::memory_order_relaxed) != sequence)
    return;
  const auto version = slot.version.load(std::memory_order_relaxed);
  slot.version.store(version | 1, std::memory_order_release);
  slot.ended_ns.store(now_ns, std::memory_order_release);
  slot.outcome.store(static_cast<std::uint64_t>(outcome), std::memory_order_release);
  slot.version.store((version | 1) + 1, std::memory_order_release);
}

std::optional<transport::Stamp> FlightRecorder::signature(std::uint64_t sequence) const noexcept {
  const Entry& slot = entry(sequence);
  if (slot.version.load(std::memory_order_relaxed) == 0 || slot.sequence.load(std::memory_order_relaxed) != sequence) {
    return std::nullopt;
  }
  transport::Stamp stamp;
  for (std::size_t i = 0; i < 3; ++i) stamp.words[i] = slot.stamp[i].load(std::memory_order_relaxed);
  return stamp;
}

std::string FlightRecorder::to_json() const {
  struct Row {
    std::uint64_t sequence;
    std::string text;
  };
  std::vector<Row> rows;
  for (std::size_t i = 0; i < capacity; ++i) {
    const Entry& slot = entries_[i];
    const auto before = slot.version.load(std::memory_order_acquire);
    if (before == 0 || (before & 1) != 0) continue;
    transport::Stamp stamp;
    for (std::size_t k = 0; k < 3; ++k) stamp.words[k] = slot.stamp[k].load(std::memory_order_acquire);
    char label[33] = {};
    for (std::size_t k = 0; k < 4; ++k) {
      const auto word = slot.label[k].load(std::memory_order_acquire);
      std::memcpy(label + 8 * k, &word, 8);
    }
    const auto sequence = slot.sequence.load(std::memory_order_acquire);
    const auto started = slot.started_ns.load(std::memory_order_acquire);
    const auto ended = slot.ended_ns.load(std::memory_order_acquire);
    const auto outcome = slot.outcome.load(std::memory_order_acquire);
    if (slot.version.load(std::memory_order_acquire) != before) continue;
    char numbers[160];
    std::snprintf(numbers, sizeof numbers, "\"started_ns\": %lld, \"ended_ns\": %lld, \"outcome\": \"%s\"}",
                  static_cast<long long>(started), static_cast<long long>(ended),
                  outcome == 1   ? "issued"
                  : outcome == 2 ? "done"
                                 : "failed");
    rows.push_back({sequence, "{\"sequence\": " + std::to_string(sequence) + ", \"operation\": \"" + describe(stamp) +
                                  "\", \"label\": \"" + json_escaped(label) + "\", " + numbers});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.sequence < b.sequence; });
  std::string text = "[";
  for (const auto& row : rows) text += (text.size() > 1 ? ",\n  " : "\n  ") + row.text;
  return text + (rows.empty() ? "]" : "\n]");
}

std::string json_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      escaped += '\\';
      escaped += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", byte);
      escaped += code;
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace trireme::comm
