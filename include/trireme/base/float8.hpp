// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/half.hpp"

#include <bit>
#include <cstdint>

namespace trireme {

/// OCP FP8 E4M3 ("E4M3FN"), as stored: 1 sign, 4 exponent, 3 mantissa bits. No infinities; 0x7f and 0xff are NaN; the
/// largest value is 448. Arithmetic happens in f32.
/// Source:  OCP 8-bit Floating Point Specification (OFP8), revision 1.0.
struct Float8E4M3 {
  std::uint8_t bits = 0;
};

/// OCP FP8 E5M2, as stored: 1 sign, 5 exponent, 2 mantissa bits: the upper half of an f16, infinities and NaNs as there;
/// the largest finite value is 57344. Arithmetic happens in f32.
/// Source:  OCP 8-bit Floating Point Specification (OFP8), revision 1.0.
struct Float8E5M2 {
  std::uint8_t bits = 0;
};

/// Widens exactly, subnormals included.
constexpr float to_float(Float8E4M3 value) {
  const std::uint32_t sign = std::uint32_t{value.bits & 0x80u} << 24;
  const std::uint32_t magnitude = value.bits & 0x7fu;
  if (magnitude == 0x7f) return std::bit_cast<float>(sign | 0x7fc00000u);
  if (magnitude >= 8) return std::bit_cast<float>(sign | ((magnitude << 20) + (120u << 23)));
  // A subnormal is magnitude * 2^-9, exact in f32.
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-9f));
}

/// Widens exactly, subnormals and infinities included.
constexpr float to_float(Float8E5M2 value) { return to_float(Float16{static_cast<std::uint16_t>(value.bits << 8)}); }

/// Rounds to nearest, ties to even. There is no infinity: what rounds beyond 448 (magnitudes above 464, infinities
/// included) becomes NaN, never the largest value, as in ml_dtypes and torch. A NaN stays a NaN.
constexpr Float8E4M3 to_float8_e4m3(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 24) & 0x80u;
  bits &= 0x7fffffffu;
  if (bits < 0x3c800000u) {  // below 2^-6 the result is subnormal, zero or the least normal number
    // Adding 2^14 puts the 2^-9 quantum at the last mantissa bit, so that the FPU rounds to nearest even.
    const float shifted = std::bit_cast<float>(bits) + 0x1p14f;
    return {static_cast<std::uint8_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x46800000u))};
  }
  // Exponent bias 127 to 7, and half a quantum less one; an odd last bit makes it the half.
  const std::uint32_t rounded = (bits - (120u << 23) + 0x7ffffu + ((bits >> 20) & 1u)) >> 20;
  return {static_cast<std::uint8_t>(sign | (rounded < 0x7f ? rounded : 0x7f))};
}

/// Rounds to nearest, ties to even; overflow (magnitudes from 61440) becomes infinity; a NaN stays a (quiet) NaN.
constexpr Float8E5M2 to_float8_e5m2(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 24) & 0x80u;
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return {static_cast<std::uint8_t>(sign | 0x7eu)};
  if (bits < 0x38800000u) {  // below 2^-14; see to_float8_e4m3
    const float shifted = std::bit_cast<float>(bits) + 0x1p7f;
    return {static_cast<std::uint8_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x43000000u))};
  }
  const std::uint32_t rounded = (bits - (112u << 23) + 0xfffffu + ((bits >> 21) & 1u)) >> 21;
  return {static_cast<std::uint8_t>(sign | (rounded < 0x7c ? rounded : 0x7c))};
}

}  // namespace trireme
