// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

namespace trireme {

/// IEEE 754 binary16, as stored: 1 sign, 5 exponent, 10 mantissa bits. Arithmetic happens in f32.
struct Float16 {
  std::uint16_t bits = 0;
};

/// bfloat16, as stored: the upper half of an f32. Arithmetic happens in f32.
struct BFloat16 {
  std::uint16_t bits = 0;
};

/// Widens exactly.
constexpr float to_float(BFloat16 value) { return std::bit_cast<float>(std::uint32_t{value.bits} << 16); }

/// Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
constexpr BFloat16 to_bfloat16(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return {static_cast<std::uint16_t>(bits >> 16)};
}

/// Widens exactly, subnormals included.
constexpr float to_float(Float16 value) {
  std::uint32_t sign = std::uint32_t{value.bits & 0x8000u} << 16;
  std::uint32_t exponent = (value.bits >> 10) & 0x1fu;
  std::uint32_t mantissa = value.bits & 0x3ffu;
  if (exponent == 0x1f) {
    std::uint32_t quiet = mantissa != 0 ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13) | quiet);
  }
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // A subnormal is mantissa * 2^-24, exact in f32.
  float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

/// Rounds to nearest, ties to even; overflow becomes infinity; a NaN stays a (quiet) NaN.
constexpr Float16 to_float16(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) {
    return {static_cast<std::uint16_t>(sign | 0x7e00u | ((bits >> 13) & 0x3ffu))};
  }
  if (bits >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};  // 65520 and above round to infinity
  if (bits < 0x38800000u) {                                                      // result is subnormal or zero
    // Adding 0.5 puts the 2^-24 quantum at the last mantissa bit, so that the FPU rounds to nearest even.
    float shifted = std::bit_cast<float>(bits) + 0.5f;
    return {static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u))};
  }
  std::uint32_t odd = (bits >> 13) & 1u;
  bits += 0xc8000fffu + odd;  // exponent bias 127 to 15 (modulo 2^32), and half a quantum less one
  return {static_cast<std::uint16_t>(sign | (bits >> 13))};
}

}  // namespace trireme
