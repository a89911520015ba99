// SPDX-License-Identifier: Apache-2.0
#include "interruption/times.hpp"

#include <algorithm>
#include <array>

namespace trireme::interruption {
namespace {

/// Takes a text apart from its front; once something is not as expected, nothing is any more.
class Scanner {
 public:
  explicit Scanner(std::string_view rest) : rest_(rest) {}

  /// Exactly so many digits.
  int number(std::size_t digits) {
    int value = 0;
    if (rest_.size() < digits) return failed();
    for (const char c : rest_.substr(0, digits)) {
      if (c < '0' || c > '9') return failed();
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }
  void literal(std::string_view expected) {
    if (rest_.substr(0, expected.size()) != expected) return static_cast<void>(failed());
    rest_.remove_prefix(expected.size());
  }
  std::string_view word(std::size_t length) {
    if (rest_.size() < length) return static_cast<void>(failed()), std::string_view();
    const std::string_view word = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return word;
  }
  void skip_fraction() {
    if (!rest_.starts_with('.')) return;
    rest_.remove_prefix(1);
    const auto end = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    if (end == 0) failed();
    rest_.remove_prefix(end);
  }
  bool is_done() const { return good_ && rest_.empty(); }

 private:
  int failed() {
    good_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view rest_;
  bool good_ = true;
};

std::optional<WallTime> time_of(int year, int month, int day, int hour, int minute, int second) {
  using namespace std::chrono;
  const year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                            std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;  // 60: a leap second
  return sys_days(date) + hours(hour) + minutes(minute) + seconds(second);
}

int month_named(std::string_view name) {
  constexpr std::array<std::string_view, 12> names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? 0 : static_cast<int>(found - names.begin()) + 1;
}

}  // namespace

std::optional<WallTime> parse_iso_time(std::string_view text) {
  Scanner scan(text);
  const int year = scan.number(4);
  scan.literal("-");
  const int month = scan.number(2);
  scan.literal("-");
  const int day = scan.number(2);
  scan.literal("T");
  const int hour = scan.number(2);
  scan.literal(":");
  const int minute = scan.number(2);
  scan.literal(":");
  const int second = scan.number(2);
  scan.skip_fraction();
  scan.literal("Z");
  if (!scan.is_done()) return std::nullopt;
  return time_of(year, month, day, hour, minute, second);
}

std::optional<WallTime> parse_rfc1123_time(std::string_view text) {
  Scanner scan(text);
  scan.word(3);
  scan.literal(", ");
  const int day = scan.number(2);
  scan.literal(" ");
  const int month = month_named(scan.word(3));
  scan.literal(" ");
  const int year = scan.number(4);
  scan.literal(" ");
  const int hour = scan.number(2);
  scan.literal(":");
  const int minute = scan.number(2);
  scan.literal(":");
  const int second = scan.number(2);
  scan.literal(" GMT");
  if (!scan.is_done()) return std::nullopt;
  return time_of(year, month, day, hour, minute, second);
}

WallTime clock_of(const http::Response& response, const Moment& moment) {
  const auto date = response.headers.find("date");
  const auto told = date == response.headers.end() ? std::nullopt : parse_rfc1123_time(date->second);
  return told ? *told : std::chrono::floor<std::chrono::seconds>(moment.wall);
}

FirstSight::Steady FirstSight::deadline(const std::string& key, const Moment& moment, std::chrono::seconds ahead,
                                        std::chrono::seconds most) {
  if (key_ != key) {
    key_ = key;
    deadline_ = moment.steady + std::clamp(ahead, std::chrono::seconds(0), most);
  }
  return deadline_;
}

}  // namespace trireme::interruption
