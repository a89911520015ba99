// SPDX-License-Identifier: Apache-2.0
// Rounding is compared with an independent rule: of the two neighbours of a value the nearer, of equals the one whose
// last bit is 0; in f64, where differences of f32 values are exact.
#include "trireme/base/half.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

using namespace trireme;

namespace {

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }
std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

Float16 narrow(float value, Float16) { return to_float16(value); }
BFloat16 narrow(float value, BFloat16) { return to_bfloat16(value); }

constexpr std::uint16_t infinity_bits(Float16) { return 0x7c00; }
constexpr std::uint16_t infinity_bits(BFloat16) { return 0x7f80; }

bool is_nan_bits(Float16 value) { return (value.bits & 0x7fff) > 0x7c00; }
bool is_nan_bits(BFloat16 value) { return (value.bits & 0x7fff) > 0x7f80; }

/// The magnitude of the 16-bit pattern as f64; that of infinity is what the next finite number would be, 2^e.
template <class Half>
double magnitude(std::uint16_t bits) {
  if (bits != infinity_bits(Half{})) return static_cast<double>(to_float(Half{bits}));
  const double last = static_cast<double>(to_float(Half{static_cast<std::uint16_t>(bits - 1)}));
  const double before = static_cast<double>(to_float(Half{static_cast<std::uint16_t>(bits - 2)}));
  return last + (last - before);
}

/// Nearest, ties to even, by comparing distances to the pattern below and the one above.
template <class Half>
std::uint16_t nearest(double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double wanted = std::fabs(value);
  std::uint16_t low = 0;
  std::uint16_t high = infinity_bits(Half{});
  if (wanted >= magnitude<Half>(high)) return static_cast<std::uint16_t>(sign | high);
  while (high - low > 1) {
    const auto middle = static_cast<std::uint16_t>((low + high) / 2);
    (magnitude<Half>(middle) <= wanted ? low : high) = middle;
  }
  const double below = wanted - magnitude<Half>(low);
  const double above = magnitude<Half>(high) - wanted;
  const bool up = above < below || (above == below && (low & 1) != 0);
  return static_cast<std::uint16_t>(sign | (up ? high : low));
}

template <class Half>
bool rounds_right(float value) {
  return narrow(value, Half{}).bits == nearest<Half>(static_cast<double>(value));
}

}  // namespace

TEMPLATE_TEST_CASE("widening any 16-bit number and narrowing it again gives the same bits", "", Float16, BFloat16) {
  unsigned wrong = 0;
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const TestType value{static_cast<std::uint16_t>(bits)};
    const float wide = to_float(value);
    if (is_nan_bits(value)) {
      wrong += !std::isnan(wide) || !is_nan_bits(narrow(wide, TestType{}));
    } else {
      wrong += narrow(wide, TestType{}).bits != value.bits;
    }
  }
  REQUIRE(wrong == 0);
}

TEST_CASE("f16 widens to mantissa times a power of two") {
  unsigned wrong = 0;
  for (unsigned bits = 0; bits < 0x7c00; ++bits) {
    const int exponent = static_cast<int>(bits >> 10);
    const int mantissa = static_cast<int>(bits & 0x3ff);
    const double expected = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    wrong += static_cast<double>(to_float(Float16{static_cast<std::uint16_t>(bits)})) != expected;
    wrong += static_cast<double>(to_float(Float16{static_cast<std::uint16_t>(bits | 0x8000)})) != -expected;
  }
  REQUIRE(wrong == 0);
  REQUIRE(to_float(Float16{0x7c00}) == std::numeric_limits<float>::infinity());
  REQUIRE(to_float(Float16{0xfc00}) == -std::numeric_limits<float>::infinity());
  REQUIRE(bits_of(to_float(Float16{0x8000})) == 0x80000000u);
}

TEMPLATE_TEST_CASE("between any two neighbours values round to the nearer, ties to the even one", "", Float16,
                   BFloat16) {
  unsigned wrong = 0;
  for (unsigned bits = 0; bits < infinity_bits(TestType{}); ++bits) {
    const double low = magnitude<TestType>(static_cast<std::uint16_t>(bits));
    const double high = magnitude<TestType>(static_cast<std::uint16_t>(bits + 1));
    const float middle = static_cast<float>(low + (high - low) / 2);
    for (const float value :
         {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, std::numeric_limits<float>::infinity())}) {
      if (std::isinf(value)) continue;
      wrong += !rounds_right<TestType>(value);
      wrong += !rounds_right<TestType>(-value);
    }
    // An exact tie goes to the pattern that ends in 0.
    if (low + (high - low) / 2 == static_cast<double>(middle) && middle != 0)
      wrong += (narrow(middle, TestType{}).bits & 1) != 0;
  }
  REQUIRE(wrong == 0);
}

TEMPLATE_TEST_CASE("any f32 rounds as the rule says", "", Float16, BFloat16) {
  std::mt19937 random(20250101);
  unsigned wrong = 0;
  for (int i = 0; i < 400000; ++i) {
    const float value = from_bits(static_cast<std::uint32_t>(random()));
    if (std::isnan(value)) {
      const TestType narrowed = narrow(value, TestType{});
      wrong += !is_nan_bits(narrowed) || (narrowed.bits >> 15) != (bits_of(value) >> 31);
    } else {
      wrong += !rounds_right<TestType>(value);
    }
  }
  REQUIRE(wrong == 0);
}

TEST_CASE("f16 overflow begins half a step above the largest number") {
  REQUIRE(to_float16(65504.0f).bits == 0x7bff);
  REQUIRE(to_float16(std::nextafter(65520.0f, 0.0f)).bits == 0x7bff);
  REQUIRE(to_float16(65520.0f).bits == 0x7c00);
  REQUIRE(to_float16(-65520.0f).bits == 0xfc00);
  REQUIRE(to_float16(std::numeric_limits<float>::max()).bits == 0x7c00);
  REQUIRE(to_float16(std::numeric_limits<float>::infinity()).bits == 0x7c00);
  REQUIRE(to_bfloat16(std::numeric_limits<float>::max()).bits == 0x7f80);
  REQUIRE(to_bfloat16(-std::numeric_limits<float>::infinity()).bits == 0xff80);
}

TEST_CASE("f16 underflow passes through the subnormals to a zero that keeps its sign") {
  REQUIRE(to_float16(0x1p-14f).bits == 0x0400);
  REQUIRE(to_float16(std::nextafter(0x1p-14f, 0.0f)).bits == 0x0400);
  REQUIRE(to_float16(0x1p-24f).bits == 0x0001);
  REQUIRE(to_float16(0x1p-25f).bits == 0x0000);  // the tie between 0 and the least subnormal
  REQUIRE(to_float16(std::nextafter(0x1p-25f, 1.0f)).bits == 0x0001);
  REQUIRE(to_float16(0x3p-25f).bits == 0x0002);  // the tie between 1 and 2 steps
  REQUIRE(to_float16(-0x1p-30f).bits == 0x8000);
  REQUIRE(to_float16(-0.0f).bits == 0x8000);
  REQUIRE(to_bfloat16(-0.0f).bits == 0x8000);
  REQUIRE(to_bfloat16(from_bits(1)).bits == 0x0000);
}

TEST_CASE("a NaN stays a quiet NaN, signalling ones too") {
  for (const std::uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffc00123u}) {
    CAPTURE(bits);
    const Float16 half = to_float16(from_bits(bits));
    REQUIRE(is_nan_bits(half));
    REQUIRE((half.bits & 0x0200) != 0);
    const BFloat16 brain = to_bfloat16(from_bits(bits));
    REQUIRE(is_nan_bits(brain));
    REQUIRE((brain.bits & 0x0040) != 0);
    REQUIRE((half.bits >> 15) == (bits >> 31));
    REQUIRE((brain.bits >> 15) == (bits >> 31));
  }
  REQUIRE((bits_of(to_float(Float16{0x7c01})) & 0x400000u) != 0);
}
