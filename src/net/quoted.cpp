// SPDX-License-Identifier: Apache-2.0
#include "net/quoted.hpp"

namespace trireme::net {

std::string quoted(std::string_view text) {
  constexpr std::size_t limit = 128;
  constexpr char digits[] = "0123456789abcdef";
  std::string result = "'";
  for (char character : text.substr(0, limit)) {
    auto code = static_cast<unsigned char>(character);
    if (code >= 0x20 && code < 0x7f) {
      result += character;
    } else {
      result += "\\x";
      result += digits[code >> 4];
      result += digits[code & 0xf];
    }
  }
  if (text.size() > limit) result += "...";
  return result + "'";
}

}  // namespace trireme::net
