// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace trireme::pipeline {

/// An exact number n/d in lowest terms, d > 0: times of schedules are compared with formulas, not with tolerances.
/// Errors: invalid_argument when d is 0 or a result has a term of more than 63 bits.
class Rational {
 public:
  constexpr Rational() = default;
  constexpr Rational(std::int64_t whole) : numerator_(whole) {}  // NOLINT(google-explicit-constructor): 3 is a number
  Rational(std::int64_t numerator, std::int64_t denominator);

  std::int64_t numerator() const { return numerator_; }
  std::int64_t denominator() const { return denominator_; }
  /// The nearest f64, for printing and plotting.
  double approximately() const { return static_cast<double>(numerator_) / static_cast<double>(denominator_); }

  friend Rational operator+(Rational a, Rational b);
  friend Rational operator-(Rational a, Rational b);
  friend Rational operator*(Rational a, Rational b);
  friend Rational operator/(Rational a, Rational b);
  friend bool operator==(Rational, Rational) = default;
  friend std::strong_ordering operator<=>(Rational a, Rational b);

 private:
  std::int64_t numerator_ = 0;
  std::int64_t denominator_ = 1;
};

/// "3" or "3/4".
std::string to_string(Rational value);

}  // namespace trireme::pipeline
