// SPDX-License-Identifier: Apache-2.0
#include "tracking/event_record.hpp"

#include <array>
#include <bit>

namespace trireme::tracking {
namespace {

// Protocol buffers, by hand: three kinds of fields are fewer lines than a generated message.
enum class Wire : unsigned char { varint = 0, eight_bytes = 1, text = 2, four_bytes = 5 };

void add_varint(std::string& to, std::uint64_t value) {
  for (; value >= 128; value >>= 7) to += static_cast<char>(value | 128);
  to += static_cast<char>(value);
}

void add_key(std::string& to, unsigned field, Wire wire) { add_varint(to, field << 3 | static_cast<unsigned>(wire)); }

template <class Number>
void add_little_endian(std::string& to, Number value) {
  for (unsigned k = 0; k < sizeof value; ++k) to += static_cast<char>(value >> (8 * k));
}

void add_double(std::string& to, unsigned field, double value) {
  add_key(to, field, Wire::eight_bytes);
  add_little_endian(to, std::bit_cast<std::uint64_t>(value));
}

void add_text(std::string& to, unsigned field, std::string_view text) {
  add_key(to, field, Wire::text);
  add_varint(to, text.size());
  to += text;
}

constexpr std::array<std::uint32_t, 256> crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
    table[byte] = crc;
  }
  return table;
}();

std::uint32_t masked(std::uint32_t crc) { return std::rotr(crc, 15) + 0xA282EAD8u; }

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes) crc = crc_table[(crc ^ static_cast<unsigned char>(c)) & 255] ^ (crc >> 8);
  return ~crc;
}

std::string version_event(double wall_time) {
  std::string event;
  add_double(event, 1, wall_time);
  add_text(event, 3, "brain.Event:2");
  return event;
}

std::string scalars_event(double wall_time, std::int64_t step, const std::map<std::string, double>& scalars) {
  std::string summary;
  for (const auto& [name, number] : scalars) {
    std::string value;
    add_text(value, 1, name);
    add_key(value, 2, Wire::four_bytes);
    add_little_endian(value, std::bit_cast<std::uint32_t>(static_cast<float>(number)));
    add_text(summary, 1, value);
  }
  std::string event;
  add_double(event, 1, wall_time);
  add_key(event, 2, Wire::varint);
  add_varint(event, static_cast<std::uint64_t>(step));
  add_text(event, 5, summary);
  return event;
}

std::string framed(std::string_view message) {
  std::string frame;
  add_little_endian(frame, static_cast<std::uint64_t>(message.size()));
  add_little_endian(frame, masked(crc32c(frame)));
  frame += message;
  add_little_endian(frame, masked(crc32c(message)));
  return frame;
}

}  // namespace trireme::tracking
