// SPDX-License-Identifier: Apache-2.0
// How elements of each type are read and written. Included by every simd.cpp, and only there: all of it lies in an
// unnamed namespace of the instruction set, and it calls no inline function of the standard library, so that nothing
// compiled for a newer instruction set can be taken by the linker for portable code.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(TRIREME_KERNELS_ISA)
#error "compile with -DTRIREME_KERNELS_ISA=portable, avx2 or avx512"
#endif

// The iterations of the next loop are independent: the destination is apart from every source or exactly one of them.
#if defined(__clang__)
#define TRIREME_KERNELS_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TRIREME_KERNELS_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// Elements handled between conversions: 2 KiB of f32 stay in the first-level cache.
inline constexpr std::size_t chunk = 512;

// A format is: Raw, the element as stored, at any alignment; Value, what arithmetic works on; widen and narrow.
// Pointers to Raw are spelled out wherever they are declared: `auto*` would drop the alignment of 1.

struct F64 {
  typedef double Raw __attribute__((aligned(1), may_alias));
  using Value = double;
  static double widen(double raw) { return raw; }
  static double narrow(double value) { return value; }
};

struct F32 {
  typedef float Raw __attribute__((aligned(1), may_alias));
  using Value = float;
  static float widen(float raw) { return raw; }
  static float narrow(float value) { return value; }
  static float narrow(double value) { return static_cast<float>(value); }
  /// Rounds to odd: the value truncated, its last bit set when anything was lost. Rounding that once more to 16 bits
  /// gives what a single rounding of `value` gives.
  static float narrow_to_odd(double value) {
    auto nearest = static_cast<float>(value);
    auto back = static_cast<double>(nearest);
    auto bits = __builtin_bit_cast(std::uint32_t, nearest);
    bits -= __builtin_fabs(back) > __builtin_fabs(value) ? 1u : 0u;
    bits |= back != value ? 1u : 0u;
    return __builtin_bit_cast(float, bits);
  }
};

struct BF16 {
  typedef std::uint16_t Raw __attribute__((aligned(1), may_alias));
  using Value = float;
  static float widen(std::uint16_t raw) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(raw) << 16); }
  static std::uint16_t narrow(float value) {
    auto bits = __builtin_bit_cast(std::uint32_t, value);
    std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    std::uint32_t quiet = (bits >> 16) | 0x40u;
    return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
  }
  static std::uint16_t narrow(double value) { return narrow(F32::narrow_to_odd(value)); }
};

struct F16 {
  typedef std::uint16_t Raw __attribute__((aligned(1), may_alias));
  using Value = float;
  static float widen(std::uint16_t raw) {
    std::uint32_t magnitude = raw & 0x7fffu;
    // The exponent's bias is 15 here and 127 there; the product is exact, subnormals included.
    float scaled = __builtin_bit_cast(float, magnitude << 13) * 0x1p112f;
    std::uint32_t special = 0x7f800000u | (magnitude << 13) | (magnitude > 0x7c00u ? 0x400000u : 0u);
    std::uint32_t bits = magnitude >= 0x7c00u ? special : __builtin_bit_cast(std::uint32_t, scaled);
    return __builtin_bit_cast(float, bits | (raw & 0x8000u) << 16);
  }
  static std::uint16_t narrow(float value) {
    auto bits = __builtin_bit_cast(std::uint32_t, value);
    std::uint32_t sign = (bits >> 16) & 0x8000u;
    bits &= 0x7fffffffu;
    // Adding 0.5 puts the quantum of subnormals at the last mantissa bit, so that the FPU rounds to nearest even.
    float shifted = __builtin_bit_cast(float, bits) + 0.5f;
    std::uint32_t subnormal = __builtin_bit_cast(std::uint32_t, shifted) - 0x3f000000u;
    std::uint32_t normal = (bits + 0xc8000fffu + ((bits >> 13) & 1u)) >> 13;
    std::uint32_t result = bits < 0x38800000u ? subnormal : normal;
    result = bits >= 0x477ff000u ? 0x7c00u : result;
    result = bits > 0x7f800000u ? 0x7e00u | ((bits >> 13) & 0x3ffu) : result;
    return static_cast<std::uint16_t>(sign | result);
  }
  static std::uint16_t narrow(double value) { return narrow(F32::narrow_to_odd(value)); }
};

/// A binary float of 8 bits: bias 2^(7 - mantissa_bits - 1) - 1; patterns from `top` on are infinity or NaN, and what
/// rounds beyond the finite values becomes `top`. No branch, no f32 subnormal: loops over these are vectorised.
template <int mantissa_bits, std::int32_t top>
struct Float8 {
  typedef std::uint8_t Raw __attribute__((aligned(1), may_alias));
  using Value = float;
  static constexpr int shift = 23 - mantissa_bits;
  static constexpr int bias = (1 << (6 - mantissa_bits)) - 1;
  static constexpr std::int32_t rebias = (127 - bias) << 23;
  static constexpr std::int32_t least_normal = (128 - bias) << 23;             ///< as f32
  static constexpr std::int32_t quantum = (128 - bias - mantissa_bits) << 23;  ///< of subnormals, as f32
  static constexpr bool has_infinity = top != 0x7f;
  /// Added to a magnitude below the least normal number, it puts the quantum at the last mantissa bit of f32.
  static constexpr std::int32_t aligner = quantum + (23 << 23);

  static float widen(std::uint8_t raw) {
    std::int32_t magnitude = raw & 0x7f;
    float subnormal = static_cast<float>(magnitude) * __builtin_bit_cast(float, quantum);
    std::int32_t normal = (magnitude << shift) + rebias;
    std::int32_t bits = magnitude < 1 << mantissa_bits ? __builtin_bit_cast(std::int32_t, subnormal) : normal;
    bits = magnitude >= top ? 0x7f800000 : bits;
    bits = magnitude > top || (!has_infinity && magnitude == top) ? 0x7fc00000 : bits;
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) | (raw & 0x80u) << 24);
  }
  static std::uint8_t narrow(float value) {
    auto all = __builtin_bit_cast(std::uint32_t, value);
    auto bits = static_cast<std::int32_t>(all & 0x7fffffffu);
    float shifted = __builtin_bit_cast(float, bits) + __builtin_bit_cast(float, aligner);
    std::int32_t subnormal = __builtin_bit_cast(std::int32_t, shifted) - aligner;
    // Half a quantum less one; an odd last bit makes it the half.
    std::int32_t normal = (bits - rebias + ((1 << (shift - 1)) - 1) + ((bits >> shift) & 1)) >> shift;
    std::int32_t result = bits < least_normal ? subnormal : normal;
    result = result > top ? top : result;
    if (has_infinity) result = bits > 0x7f800000 ? 0x7e : result;
    return static_cast<std::uint8_t>(static_cast<std::uint32_t>(result) | ((all >> 24) & 0x80u));
  }
  static std::uint8_t narrow(double value) { return narrow(F32::narrow_to_odd(value)); }
};

using F8E4M3 = Float8<3, 0x7f>;  // no infinity: `top` is NaN
using F8E5M2 = Float8<2, 0x7c>;

template <class T>
struct Integer;
template <>
struct Integer<std::int64_t> {
  typedef std::int64_t Raw __attribute__((aligned(1), may_alias));
  using Value = std::int64_t;
  static Value widen(Value raw) { return raw; }
  static Value narrow(Value value) { return value; }
};
template <>
struct Integer<std::int32_t> {
  typedef std::int32_t Raw __attribute__((aligned(1), may_alias));
  using Value = std::int32_t;
  static Value widen(Value raw) { return raw; }
  static Value narrow(Value value) { return value; }
};
template <>
struct Integer<std::uint8_t> {
  typedef std::uint8_t Raw __attribute__((aligned(1), may_alias));
  using Value = std::uint8_t;
  static Value widen(Value raw) { return raw; }
  static Value narrow(Value value) { return value; }
};
template <>
struct Integer<std::int8_t> {
  typedef std::int8_t Raw __attribute__((aligned(1), may_alias));
  using Value = std::int8_t;
  static Value widen(Value raw) { return raw; }
  static Value narrow(Value value) { return value; }
};
template <>
struct Integer<std::uint64_t> {
  typedef std::uint64_t Raw __attribute__((aligned(1), may_alias));
  using Value = std::uint64_t;
  static Value widen(Value raw) { return raw; }
  static Value narrow(Value value) { return value; }
};
template <>
struct Integer<std::uint32_t> {
  typedef std::uint32_t Raw __attribute__((aligned(1), may_alias));
  using Value = std::uint32_t;
  static Value widen(Value raw) { return raw; }
  static Value narrow(Value value) { return value; }
};

template <class A, class B>
inline constexpr bool same_format = false;
template <class A>
inline constexpr bool same_format<A, A> = true;

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
