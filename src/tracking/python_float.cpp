// SPDX-License-Identifier: Apache-2.0
#include "tracking/python_float.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace trireme::tracking {

std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char text[32];
  const char* const end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  const std::string all(
      text, static_cast<std::size_t>(
                end - text));  // "-1.25e+02": C++ writes at least two digits of the exponent, as Python does
  const auto e = all.find('e');
  const int exponent = std::atoi(all.c_str() + e + 1);
  if (exponent < -4 || exponent >= 16) return all;
  const bool is_negative = all[0] == '-';
  std::string digits = all.substr(is_negative ? 1 : 0, e - (is_negative ? 1 : 0));
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  if (exponent < 0) {
    digits = "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  } else {
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() < whole) digits.append(whole - digits.size(), '0');
    digits = digits.substr(0, whole) + "." + (digits.size() == whole ? "0" : digits.substr(whole));
  }
  return is_negative ? "-" + digits : digits;
}

}  // namespace trireme::tracking
