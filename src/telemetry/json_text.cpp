// SPDX-License-Identifier: Apache-2.0
#include "telemetry/json_text.hpp"

#include <cstddef>
#include <cstdio>

namespace trireme::telemetry {
namespace {

unsigned byte_at(std::string_view text, std::size_t index) {
  return index < text.size() ? static_cast<unsigned char>(text[index]) : 0u;
}

/// Bytes of the UTF-8 character at the front; 0: there is none. Table 3-7 of the Unicode standard.
std::size_t character_length(std::string_view text) {
  const unsigned first = byte_at(text, 0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  const unsigned lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte_at(text, 1) < lowest || byte_at(text, 1) > highest) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte_at(text, i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

void append_json_string(std::string& to, std::string_view text) {
  to += '"';
  while (!text.empty()) {
    const unsigned first = byte_at(text, 0);
    const std::size_t length = character_length(text);
    if (first == '"' || first == '\\') {
      to += {'\\', text.front()};
    } else if (first < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", first);
      to += code;
    } else if (length == 0) {
      to += "\xef\xbf\xbd";
    } else {
      to += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  to += '"';
}

}  // namespace trireme::telemetry
