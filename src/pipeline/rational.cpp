// SPDX-License-Identifier: Apache-2.0
#include "trireme/pipeline/rational.hpp"

#include "trireme/base/error.hpp"

#include <limits>
#include <numeric>

namespace trireme::pipeline {
namespace {

__extension__ using Wide = __int128;

Wide greatest_common_divisor(Wide a, Wide b) {
  if (a < 0) a = -a;
  if (b < 0) b = -b;
  while (b != 0) {
    const Wide rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/// Lowest terms. Products of two 64-bit terms and sums of two of those fit into 128 bits.
Rational reduced(Wide numerator, Wide denominator) {
  if (denominator == 0) fail(ErrorCode::invalid_argument, "a rational number with denominator 0");
  if (denominator < 0) {
    numerator = -numerator;
    denominator = -denominator;
  }
  const Wide divisor = greatest_common_divisor(numerator, denominator);
  numerator /= divisor;
  denominator /= divisor;
  constexpr Wide most = std::numeric_limits<std::int64_t>::max();
  if (numerator > most || numerator < -most || denominator > most)
    fail(ErrorCode::invalid_argument, "a rational number needs more than 63 bits: give costs with fewer digits");
  // The terms are lowest already: the constructor has nothing left to divide.
  return {static_cast<std::int64_t>(numerator), static_cast<std::int64_t>(denominator)};
}

}  // namespace

Rational::Rational(std::int64_t numerator, std::int64_t denominator) {
  if (denominator > 0 && std::gcd(numerator, denominator) == 1) {
    numerator_ = numerator;
    denominator_ = denominator;
  } else {
    *this = reduced(numerator, denominator);
  }
}

Rational operator+(Rational a, Rational b) {
  return reduced(Wide{a.numerator_} * b.denominator_ + Wide{b.numerator_} * a.denominator_,
                 Wide{a.denominator_} * b.denominator_);
}
Rational operator-(Rational a, Rational b) {
  return reduced(Wide{a.numerator_} * b.denominator_ - Wide{b.numerator_} * a.denominator_,
                 Wide{a.denominator_} * b.denominator_);
}
Rational operator*(Rational a, Rational b) {
  return reduced(Wide{a.numerator_} * b.numerator_, Wide{a.denominator_} * b.denominator_);
}
Rational operator/(Rational a, Rational b) {
  return reduced(Wide{a.numerator_} * b.denominator_, Wide{a.denominator_} * b.numerator_);
}

std::strong_ordering operator<=>(Rational a, Rational b) {
  const Wide left = Wide{a.numerator_} * b.denominator_;
  const Wide right = Wide{b.numerator_} * a.denominator_;
  return left < right   ? std::strong_ordering::less
         : left > right ? std::strong_ordering::greater
                        : std::strong_ordering::equal;
}

std::string to_string(Rational value) {
  std::string text = std::to_string(value.numerator());
  if (value.denominator() != 1) text += "/" + std::to_string(value.denominator());
  return text;
}

}  // namespace trireme::pipeline
