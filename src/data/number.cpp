// SPDX-License-Identifier: Apache-2.0
#include "data/number.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <system_error>

namespace trireme::data {
namespace {

constexpr double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr std::int64_t largest_exact_power = 22;
constexpr std::int64_t exponent_cap = 100000;  // far beyond any f32: no sum of it overflows

unsigned digit_of(char c) noexcept { return static_cast<unsigned>(static_cast<unsigned char>(c)) - unsigned{'0'}; }
bool is_digit(char c) noexcept { return digit_of(c) < 10; }

/// Whether a number that std::from_chars calls out of range is below 1: too small rather than too large.
bool below_one(const char* text, const char* end) noexcept {
  std::int64_t magnitude = 0;  // digits before the point, or minus the zeros after it
  bool seen = false;
  bool fraction = false;
  for (; text != end; ++text) {
    if (*text == '.') {
      fraction = true;
    } else if (is_digit(*text)) {
      seen = seen || *text != '0';
      if (seen && !fraction && magnitude >= 0) ++magnitude;
      if (!seen && fraction) --magnitude;
    } else if ((*text | 0x20) == 'e') {
      break;
    }
  }
  std::int64_t exponent = 0;
  bool negative = false;
  for (; text != end; ++text) {
    if (*text == '-') negative = true;
    if (is_digit(*text) && exponent < (std::int64_t{1} << 40)) exponent = 10 * exponent + digit_of(*text);
  }
  return magnitude + (negative ? -exponent : exponent) <= 0;
}

Number parse_slowly(const char* text, const char* end) noexcept {
  const char* const begin = text;
  if (*text == '+') ++text;
  const char* first = *text == '-' && text == begin ? text + 1 : text;
  if (!is_digit(*first) && *first != '.') return {};  // no "inf", "nan", "+-1"
  float value = 0;
  const auto [stop, error] = std::from_chars(text, end, value);
  if (error == std::errc::invalid_argument) return {};
  if (error == std::errc::result_out_of_range || !std::isfinite(value)) {
    if (!below_one(first, stop)) return {NumberStatus::too_large, 0, stop};
    value = *text == '-' ? -0.0f : 0.0f;
  }
  return {NumberStatus::ok, value, stop};
}

}  // namespace

Number parse_f32(const char* text, const char* end) noexcept {
  // At most 2^53 times or over an exact power of ten is one correctly rounded f64 (Clinger, "How to read floating point
  // numbers accurately", PLDI 1990). Rounding it again to f32 is right unless it lies midway between two of them.
  const char* p = text;
  const bool negative = *p == '-';
  if (negative || *p == '+') ++p;
  std::uint64_t digits = 0;
  const char* const whole = p;
  for (unsigned d = digit_of(*p); d < 10; d = digit_of(*++p)) digits = 10 * digits + d;
  std::int64_t count = p - whole;
  std::int64_t exponent = 0;
  if (*p == '.') {
    const char* const fraction = ++p;
    for (unsigned d = digit_of(*p); d < 10; d = digit_of(*++p)) digits = 10 * digits + d;
    exponent = fraction - p;
    count -= exponent;
  }
  if (count == 0 || count > 19) return parse_slowly(text, end);
  if ((*p | 0x20) == 'e') {
    const char* q = p + 1;
    const bool down = *q == '-';
    if (down || *q == '+') ++q;
    if (!is_digit(*q)) return parse_slowly(text, end);
    std::int64_t power = 0;
    for (; is_digit(*q); ++q) power = power < exponent_cap ? 10 * power + digit_of(*q) : power;
    exponent += down ? -power : power;
    p = q;
  }
  if (digits > (std::uint64_t{1} << 53) || exponent > largest_exact_power || exponent < -largest_exact_power) {
    return parse_slowly(text, end);
  }
  const double magnitude = exponent < 0 ? static_cast<double>(digits) / powers_of_ten[-exponent]
                                        : static_cast<double>(digits) * powers_of_ten[exponent];
  constexpr std::uint64_t dropped = (std::uint64_t{1} << 29) - 1;
  if ((std::bit_cast<std::uint64_t>(magnitude) & dropped) == (dropped + 1) / 2) return parse_slowly(text, end);
  const auto value = static_cast<float>(magnitude);
  return {NumberStatus::ok, negative ? -value : value, p};
}

}  // namespace trireme::data
