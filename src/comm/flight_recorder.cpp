// SPDX-License-Identifier: Apache-2.0
#include "comm/flight_recorder.hpp"

#include "comm/signature.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

namespace trireme::comm {
namespace {

/// Bytes of the UTF-8 character at the front of a text that is not empty; 0 if there is none (RFC 3629, section 4).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool outside = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);  // surrogates, > 10ffff
  return overlong || outside ? 0 : length;
}

}  // namespace

FlightRecorder::FlightRecorder() : entries_(std::make_unique<Entry[]>(capacity)) {}

void FlightRecorder::issued(std::uint64_t sequence, const transport::Stamp& stamp, const std::array<char, 32>& label,
                            std::int64_t tick, bool device) noexcept {
  Entry& slot = entry(sequence);
  const auto version = slot.version.load(std::memory_order_relaxed);
  slot.version.store(version | 1, std::memory_order_release);
  slot.device.store(device, std::memory_order_release);
  slot.sequence.store(sequence, std::memory_order_release);
  for (std::size_t i = 0; i < 3; ++i) slot.stamp[i].store(stamp.words[i], std::memory_order_release);
  for (std::size_t i = 0; i < 4; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, label.data() + 8 * i, 8);
    slot.label[i].store(word, std::memory_order_release);
  }
  slot.started.store(tick, std::memory_order_release);
  slot.ended.store(0, std::memory_order_release);
  slot.outcome.store(static_cast<std::uint64_t>(Outcome::issued), std::memory_order_release);
  slot.version.store((version | 1) + 1, std::memory_order_release);
}

void FlightRecorder::ended(std::uint64_t sequence, Outcome outcome, std::int64_t tick) noexcept {
  Entry& slot = entry(sequence);
  if (slot.version.load(std::memory_order_relaxed) == 0 || slot.sequence.load(std::memory_order_relaxed) != sequence)
    return;
  const auto version = slot.version.load(std::memory_order_relaxed);
  slot.version.store(version | 1, std::memory_order_release);
  slot.ended.store(tick, std::memory_order_release);
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

std::string FlightRecorder::label(std::uint64_t sequence) const {
  return signature(sequence) ? label_of(entry(sequence)) : "";
}

std::string FlightRecorder::label_of(const Entry& slot) {
  char label[33] = {};
  for (std::size_t k = 0; k < 4; ++k) {
    const auto word = slot.label[k].load(std::memory_order_acquire);
    std::memcpy(label + 8 * k, &word, 8);
  }
  return label;
}

std::string FlightRecorder::to_json(const TickReading& reading) const {
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
    const auto label = label_of(slot);
    const auto sequence = slot.sequence.load(std::memory_order_acquire);
    const auto started = slot.started.load(std::memory_order_acquire);
    const auto ended = slot.ended.load(std::memory_order_acquire);
    const auto outcome = slot.outcome.load(std::memory_order_acquire);
    const bool device = slot.device.load(std::memory_order_acquire);
    if (slot.version.load(std::memory_order_acquire) != before) continue;
    char numbers[160];
    std::snprintf(numbers, sizeof numbers, "\"started_ns\": %lld, \"ended_ns\": %lld, \"outcome\": \"%s\"}",
                  static_cast<long long>(reading.nanoseconds(started)),
                  static_cast<long long>(ended == 0 ? 0 : reading.nanoseconds(ended)),
                  outcome == 1   ? "issued"
                  : outcome == 2 ? "done"
                                 : "failed");
    rows.push_back({sequence, "{\"sequence\": " + std::to_string(sequence) + ", \"operation\": \"" + describe(stamp) +
                                  "\", \"label\": \"" + json_escaped(label) + "\", " +
                                  (device ? "\"memory\": \"device\", " : "") + numbers});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.sequence < b.sequence; });
  std::string text = "[";
  for (const auto& row : rows) text += (text.size() > 1 ? ",\n  " : "\n  ") + row.text;
  return text + (rows.empty() ? "]" : "\n]");
}

std::string json_escaped(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    const std::size_t length = utf8_length(text);
    if (byte == '"' || byte == '\\') {
      escaped += {'\\', text.front()};
    } else if (byte < 0x20 || byte == 0x7f) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", byte);
      escaped += code;
    } else if (length == 0) {
      escaped += "\\ufffd";  // a label is cut after 31 bytes, perhaps within a character
    } else {
      escaped += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return escaped;
}

}  // namespace trireme::comm
