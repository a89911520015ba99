// SPDX-License-Identifier: Apache-2.0
// Values are compared with the definition of the formats, rounding with an independent rule: of the two neighbours the
// nearer, of equals the one whose last bit is 0; in f64, where all of it is exact.
#include "trireme/base/float8.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

using namespace trireme;

namespace {

struct E4M3 {
  static constexpr int mantissa = 3, bias = 7;
  static constexpr unsigned beyond = 0x7f;  // what follows the greatest value: NaN
  static float widen(unsigned bits) { return to_float(Float8E4M3{static_cast<std::uint8_t>(bits)}); }
  static unsigned narrow(float value) { return to_float8_e4m3(value).bits; }
  static bool is_nan(unsigned bits) { return (bits & 0x7f) == 0x7f; }
};

struct E5M2 {
  static constexpr int mantissa = 2, bias = 15;
  static constexpr unsigned beyond = 0x7c;  // infinity
  static float widen(unsigned bits) { return to_float(Float8E5M2{static_cast<std::uint8_t>(bits)}); }
  static unsigned narrow(float value) { return to_float8_e5m2(value).bits; }
  static bool is_nan(unsigned bits) { return (bits & 0x7f) > 0x7c; }
};

/// What the pattern of a magnitude stands for; of `beyond` what it would be if the format went on.
template <class F>
double meaning(unsigned magnitude) {
  const int exponent = static_cast<int>(magnitude >> F::mantissa);
  const int fraction = static_cast<int>(magnitude & ((1u << F::mantissa) - 1));
  const int one = 1 << F::mantissa;
  if (exponent == 0) return std::ldexp(fraction, 1 - F::bias - F::mantissa);
  return std::ldexp(one + fraction, exponent - F::bias - F::mantissa);
}

template <class F>
unsigned nearest(float value) {
  const unsigned sign = std::signbit(value) ? 0x80 : 0;
  const double wanted = std::fabs(static_cast<double>(value));
  unsigned low = 0;
  while (low < F::beyond && meaning<F>(low + 1) <= wanted) ++low;
  if (low == F::beyond) return sign | F::beyond;
  const double below = wanted - meaning<F>(low), above = meaning<F>(low + 1) - wanted;
  const bool up = above < below || (above == below && (low & 1) != 0);
  return sign | (up ? low + 1 : low);
}

}  // namespace

TEMPLATE_TEST_CASE("every 8-bit float widens to what its pattern stands for and narrows back", "", E4M3, E5M2) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    CAPTURE(bits);
    const float wide = TestType::widen(bits);
    if (TestType::is_nan(bits)) {
      REQUIRE(std::isnan(wide));
      REQUIRE(TestType::is_nan(TestType::narrow(wide)));
      REQUIRE((TestType::narrow(wide) & 0x80) == (bits & 0x80));
      continue;
    }
    REQUIRE(std::signbit(wide) == (bits >= 0x80));
    if (!std::isinf(wide)) REQUIRE(std::fabs(static_cast<double>(wide)) == meaning<TestType>(bits & 0x7f));
    REQUIRE(TestType::narrow(wide) == bits);
  }
}

TEMPLATE_TEST_CASE("between any two 8-bit neighbours values round to the nearer, ties to the even one", "", E4M3,
                   E5M2) {
  const float inf = std::numeric_limits<float>::infinity();
  for (unsigned low = 0; low < TestType::beyond; ++low) {
    const auto middle = static_cast<float>((meaning<TestType>(low) + meaning<TestType>(low + 1)) / 2);
    for (const float value : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, inf)}) {
      CAPTURE(low, value);
      REQUIRE(TestType::narrow(value) == nearest<TestType>(value));
      REQUIRE(TestType::narrow(-value) == nearest<TestType>(-value));
    }
    // A tie with NaN or infinity above obeys the same rule: 464 is 448, 61440 is infinity.
    REQUIRE((TestType::narrow(middle) & 1) == 0);
  }
}

TEMPLATE_TEST_CASE("any f32 rounds to 8 bits as the rule says", "", E4M3, E5M2) {
  std::mt19937 random(20250102);
  unsigned wrong = 0;
  for (int i = 0; i < 60000; ++i) {
    auto bits = static_cast<std::uint32_t>(random());
    // Every other one of a size that these formats hold.
    if (i % 2 == 0) bits = (bits & 0x83ffffffu) + (104u << 23);
    const auto value = std::bit_cast<float>(bits);
    const unsigned narrowed = TestType::narrow(value);
    if (std::isnan(value)) {
      wrong += !TestType::is_nan(narrowed) || narrowed >> 7 != bits >> 31;
    } else {
      wrong += narrowed != nearest<TestType>(value);
    }
  }
  REQUIRE(wrong == 0);
}

TEST_CASE("e4m3 overflows to NaN from just above 464, e5m2 to infinity from 61440") {
  const float inf = std::numeric_limits<float>::infinity();
  REQUIRE(to_float(Float8E4M3{0x7e}) == 448.0f);
  REQUIRE(to_float8_e4m3(464.0f).bits == 0x7e);
  REQUIRE(to_float8_e4m3(std::nextafter(464.0f, inf)).bits == 0x7f);
  REQUIRE(to_float8_e4m3(-480.0f).bits == 0xff);
  REQUIRE(to_float8_e4m3(inf).bits == 0x7f);
  REQUIRE(to_float8_e4m3(-inf).bits == 0xff);
  REQUIRE(to_float(Float8E5M2{0x7b}) == 57344.0f);
  REQUIRE(to_float(Float8E5M2{0x7c}) == inf);
  REQUIRE(to_float8_e5m2(std::nextafter(61440.0f, 0.0f)).bits == 0x7b);
  REQUIRE(to_float8_e5m2(61440.0f).bits == 0x7c);
  REQUIRE(to_float8_e5m2(-std::numeric_limits<float>::max()).bits == 0xfc);
  REQUIRE(to_float8_e5m2(inf).bits == 0x7c);
}

TEST_CASE("8-bit floats underflow through the subnormals to a zero that keeps its sign") {
  REQUIRE(to_float8_e4m3(0x1p-9f).bits == 0x01);
  REQUIRE(to_float8_e4m3(0x1p-10f).bits == 0x00);  // the tie between 0 and the least subnormal
  REQUIRE(to_float8_e4m3(0x3p-10f).bits == 0x02);
  REQUIRE(to_float8_e4m3(-0x1p-30f).bits == 0x80);
  REQUIRE(to_float8_e4m3(std::nextafter(0x1p-6f, 0.0f)).bits == 0x08);
  REQUIRE(to_float8_e5m2(0x1p-16f).bits == 0x01);
  REQUIRE(to_float8_e5m2(0x1p-17f).bits == 0x00);
  REQUIRE(to_float8_e5m2(0x3p-17f).bits == 0x02);
  REQUIRE(to_float8_e5m2(-0.0f).bits == 0x80);
  REQUIRE(to_float8_e5m2(-std::numeric_limits<float>::denorm_min()).bits == 0x80);
}

TEST_CASE("a NaN stays a NaN in 8 bits, signalling ones too") {
  for (const std::uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffc00123u}) {
    CAPTURE(bits);
    REQUIRE(to_float8_e4m3(std::bit_cast<float>(bits)).bits == (bits >> 31 != 0 ? 0xff : 0x7f));
    REQUIRE(to_float8_e5m2(std::bit_cast<float>(bits)).bits == (bits >> 31 != 0 ? 0xfe : 0x7e));
  }
}

TEST_CASE("8-bit floats convert at compile time") {
  static_assert(to_float(to_float8_e4m3(1.1f)) == 1.125f);
  static_assert(to_float(to_float8_e5m2(1.2f)) == 1.25f);
  static_assert(to_float(to_float8_e4m3(0x1p-9f)) == 0x1p-9f);
  SUCCEED();
}
