// SPDX-License-Identifier: Apache-2.0
#include "platform/slurm_list.hpp"

#include "trireme/base/error.hpp"

#include <charconv>
#include <limits>
#include <optional>

namespace trireme::platform {
namespace {

constexpr std::size_t most_hosts = 65536;
constexpr std::size_t most_digits = 9;

std::optional<int> parse_number(std::string_view text) {
  if (text.empty() || text.size() > most_digits) return std::nullopt;
  int value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

class HostList {
 public:
  HostList(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  std::vector<std::string> expand() const {
    std::vector<std::string> all;
    std::string_view rest = text_;
    if (rest.empty()) refuse("expected hosts, as in gpu[07-08,11],login1");
    for (;;) {
      const std::size_t end = end_of_name(rest);
      for (std::string& host : expand_name(rest.substr(0, end))) all.push_back(std::move(host));
      require_few(all.size());
      if (end == rest.size()) return all;
      rest.remove_prefix(end + 1);
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    fail(ErrorCode::invalid_argument, name_ + "=" + std::string(text_.substr(0, 200)) + ": " + why);
  }
  void require_few(std::size_t count) const {
    if (count > most_hosts) refuse("more than " + std::to_string(most_hosts) + " hosts");
  }

  /// Where the next comma outside of brackets is.
  std::size_t end_of_name(std::string_view rest) const {
    bool inside = false;
    for (std::size_t i = 0; i < rest.size(); ++i) {
      if (rest[i] == '[' && inside) refuse("a bracket inside of brackets");
      if (rest[i] == ']' && !inside) refuse("a bracket closes that none opened");
      if (rest[i] == '[') inside = true;
      if (rest[i] == ']') inside = false;
      if (rest[i] == ',' && !inside) return i;
    }
    if (inside) refuse("a bracket is not closed");
    return rest.size();
  }

  std::vector<std::string> expand_name(std::string_view name) const {
    std::vector<std::string> hosts{""};
    while (!name.empty()) {
      std::vector<std::string> parts;
      if (name.front() == '[') {
        const auto close = name.find(']');
        parts = expand_ranges(name.substr(1, close - 1));
        name.remove_prefix(close + 1);
      } else {
        const auto open = std::min(name.find('['), name.size());
        for (const char c : name.substr(0, open)) {
          if (c <= ' ' || c > '~') refuse("a host's name with a blank or a control character");
        }
        parts.emplace_back(name.substr(0, open));
        name.remove_prefix(open);
      }
      require_few(hosts.size() * parts.size());
      std::vector<std::string> combined;
      for (const std::string& front : hosts) {
        for (const std::string& back : parts) combined.push_back(front + back);
      }
      hosts = std::move(combined);
    }
    if (hosts.front().empty()) refuse("a host without a name");
    return hosts;
  }

  std::vector<std::string> expand_ranges(std::string_view ranges) const {
    std::vector<std::string> numbers;
    for (;;) {
      const auto comma = std::min(ranges.find(','), ranges.size());
      const std::string_view range = ranges.substr(0, comma);
      const auto dash = std::min(range.find('-'), range.size());
      const std::string_view low_text = range.substr(0, dash);
      const auto low = parse_number(low_text);
      const auto high = dash == range.size() ? low : parse_number(range.substr(dash + 1));
      if (!low || !high || *low > *high) refuse("expected numbers or ranges such as 07-12 in brackets");
      require_few(numbers.size() + static_cast<std::size_t>(*high - *low) + 1);
      for (int number = *low; number <= *high; ++number) {
        std::string digits = std::to_string(number);
        if (digits.size() < low_text.size()) digits.insert(0, low_text.size() - digits.size(), '0');
        numbers.push_back(std::move(digits));
      }
      if (comma == ranges.size()) return numbers;
      ranges.remove_prefix(comma + 1);
    }
  }

  std::string_view text_;
  const std::string& name_;
};

}  // namespace

std::vector<std::string> expand_slurm_hosts(std::string_view text, const std::string& name) {
  return HostList(text, name).expand();
}

std::vector<int> expand_slurm_counts(std::string_view text, const std::string& name) {
  const auto refuse = [&](const std::string& why) {
    fail(ErrorCode::invalid_argument, name + "=" + std::string(text.substr(0, 200)) + ": " + why);
  };
  std::vector<int> counts;
  std::string_view rest = text;
  for (;;) {
    const auto comma = std::min(rest.find(','), rest.size());
    std::string_view entry = rest.substr(0, comma);
    int repeat = 1;
    if (const auto open = entry.find("(x"); open != std::string_view::npos && entry.back() == ')') {
      repeat = parse_number(entry.substr(open + 2, entry.size() - open - 3)).value_or(0);
      entry = entry.substr(0, open);
    }
    const auto count = parse_number(entry);
    if (!count || repeat < 1) refuse("expected numbers such as 4,8(x3),2");
    if (static_cast<std::size_t>(repeat) > most_hosts - counts.size())
      refuse("more than " + std::to_string(most_hosts) + " hosts");
    counts.insert(counts.end(), static_cast<std::size_t>(repeat), *count);
    if (comma == rest.size()) return counts;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace trireme::platform
