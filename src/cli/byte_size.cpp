// SPDX-License-Identifier: Apache-2.0
#include "cli/byte_size.hpp"

#include "trireme/base/error.hpp"

#include <array>
#include <charconv>
#include <limits>

namespace trireme::cli {
namespace {

struct Suffix {
  std::string_view text;
  int shift;
};

constexpr std::array<Suffix, 11> suffixes{{{"", 0},
                                           {"B", 0},
                                           {"K", 10},
                                           {"Ki", 10},
                                           {"KiB", 10},
                                           {"M", 20},
                                           {"Mi", 20},
                                           {"MiB", 20},
                                           {"G", 30},
                                           {"Gi", 30},
                                           {"GiB", 30}}};

}  // namespace

Bytes parse_byte_size(std::string_view text, std::string_view flag) {
  constexpr std::uint64_t largest = std::uint64_t{1} << 63;
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc()) {
    const std::string_view suffix(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
    for (const Suffix& known : suffixes) {
      if (suffix == known.text && number <= largest >> known.shift) return Bytes{number << known.shift};
    }
  }
  fail(ErrorCode::invalid_argument,
       std::string(flag) + " is '" + std::string(text) + "': give bytes as in 65536, 64K, 25MiB or 1G");
}

}  // namespace trireme::cli
