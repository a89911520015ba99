// SPDX-License-Identifier: Apache-2.0
#include "data/text_error.hpp"

#include <algorithm>

namespace trireme::data {

std::string where(const std::string& name, const Record& record, const char* at) {
  if (record.line == 0) return name + ", row " + std::to_string(record.number) + " (counted from 0)";
  const auto before = static_cast<std::uint64_t>(std::count(record.begin, at, '\n'));
  return name + ", line " + std::to_string(record.line + before);
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t most = 40;
  constexpr const char* hexadecimal = "0123456789abcdef";
  std::string shown = "'";
  for (char c : text.substr(0, most)) {
    const auto code = static_cast<unsigned char>(c);
    if (code >= 0x20 && code < 0x7f) {
      shown += c;
    } else {
      shown += "\\x";
      shown += hexadecimal[code >> 4];
      shown += hexadecimal[code & 15];
    }
  }
  return shown + (text.size() > most ? "…'" : "'");
}

}  // namespace trireme::data
