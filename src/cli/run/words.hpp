// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace trireme::cli {

/// Takes words off the front of a message, each ended by one space or the end of the text.
class Words {
 public:
  explicit Words(std::string_view text) : rest_(text) {}

  std::string_view next() {
    const auto end = rest_.find(' ');
    const std::string_view word = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
    return word;
  }
  /// The next word as a whole number of [least, most].
  std::optional<int> number(int least, int most) {
    const std::string_view word = next();
    int value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || value < least || value > most) return std::nullopt;
    return value;
  }
  /// All that is left, spaces and all.
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace trireme::cli
