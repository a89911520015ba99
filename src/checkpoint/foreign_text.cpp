// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/foreign_text.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace trireme::checkpoint {
namespace {

constexpr std::size_t most_quoted = 158;

/// Bytes of the character that `text` begins with; 0 when it begins with none.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const std::uint8_t second = byte(1);
  const bool is_overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool is_beyond = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return is_overlong || is_beyond ? 0 : bytes;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string shown(std::string_view text) {
  std::string result = "'";
  while (!text.empty() && result.size() < most_quoted) {
    const std::size_t bytes = character_bytes(text);
    const bool is_shown = bytes > 1 || (bytes == 1 && text[0] >= ' ' && text[0] != '\x7f');
    result += is_shown ? text.substr(0, bytes) : std::string_view("?");
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return result + (text.empty() ? "'" : "…'");
}

}  // namespace trireme::checkpoint
