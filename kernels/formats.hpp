// SPDX-License-Identifier: Apache-2.0
// How elements of each type are read and written. Included by every simd.cpp, and only there: all of it lies in an
// unnamed namespace of the instruction set, and it calls no inline function of the standard library, so that nothing
// compiled for AVX2 can be taken by the linker for portable code.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX2__) && defined(__F16C__)
#include <immintrin.h>
#endif

#if !defined(TRIREME_KERNELS_ISA)
#error "compile with -DTRIREME_KERNELS_ISA=portable or avx2"
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

template <class A, class B>
inline constexpr bool same_format = false;
template <class A>
inline constexpr bool same_format<A, A> = true;

/// Eight elements as f32 at once, where compilers do not find the instructions by themselves: 16-bit types on AVX2. The
/// same bits as widen and narrow.
template <class Format>
struct Pack {
  static constexpr bool exists = false;
};

#if defined(__AVX2__) && defined(__F16C__)

template <>
struct Pack<F32> {
  static constexpr bool exists = true;
  static __m256 load(const F32::Raw* raw) {
    __m256 value;
    __builtin_memcpy(&value, raw, sizeof value);
    return value;
  }
  static void store(F32::Raw* raw, __m256 value) { __builtin_memcpy(raw, &value, sizeof value); }
};

template <>
struct Pack<BF16> {
  static constexpr bool exists = true;
  static __m256 load(const BF16::Raw* raw) {
    __m128i bits;
    __builtin_memcpy(&bits, raw, sizeof bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static void store(BF16::Raw* raw, __m256 value) {
    __m256i bits = _mm256_castps_si256(value);
    __m256i high = _mm256_srli_epi32(bits, 16);
    __m256i half = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(high, _mm256_set1_epi32(1)));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    __m256i undefined = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    __m256i result = _mm256_blendv_epi8(rounded, quiet, undefined);
    __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1));
    __builtin_memcpy(raw, &packed, sizeof packed);
  }
};

template <>
struct Pack<F16> {
  static constexpr bool exists = true;
  static __m256 load(const F16::Raw* raw) {
    __m128i bits;
    __builtin_memcpy(&bits, raw, sizeof bits);
    return _mm256_cvtph_ps(bits);
  }
  static void store(F16::Raw* raw, __m256 value) {
    __m128i bits = _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __builtin_memcpy(raw, &bits, sizeof bits);
  }
};

#endif

/// `count` elements of type From at `source` to type To at `destination`: one rounding at most.
template <class To, class From>
struct Convert {
  static void run(void* destination, const void* source, std::size_t count) noexcept {
    typename To::Raw* d = static_cast<typename To::Raw*>(destination);
    const typename From::Raw* s = static_cast<const typename From::Raw*>(source);
    if constexpr (Pack<To>::exists && Pack<From>::exists) {
      std::size_t whole = count - count % 8;
      for (std::size_t i = 0; i < whole; i += 8) Pack<To>::store(d + i, Pack<From>::load(s + i));
      for (std::size_t i = whole; i < count; ++i) d[i] = To::narrow(From::widen(s[i]));
    } else {
      TRIREME_KERNELS_INDEPENDENT
      for (std::size_t i = 0; i < count; ++i) d[i] = To::narrow(From::widen(s[i]));
    }
  }
};

/// Conversions that pass through f32, a chunk at a time; from f64 by way of rounding to odd.
template <class To, class From>
struct ConvertByF32 {
  static void run(void* destination, const void* source, std::size_t count) noexcept {
    typename To::Raw* d = static_cast<typename To::Raw*>(destination);
    const typename From::Raw* s = static_cast<const typename From::Raw*>(source);
    alignas(64) float middle[chunk];
    for (std::size_t begin = 0; begin < count; begin += chunk) {
      std::size_t n = count - begin < chunk ? count - begin : chunk;
      if constexpr (same_format<From, F64>) {
        for (std::size_t i = 0; i < n; ++i) middle[i] = F32::narrow_to_odd(s[begin + i]);
      } else {
        Convert<F32, From>::run(middle, s + begin, n);
      }
      Convert<To, F32>::run(d + begin, middle, n);
    }
  }
};

template <>
struct Convert<F64, F16> : ConvertByF32<F64, F16> {};
template <>
struct Convert<F64, BF16> : ConvertByF32<F64, BF16> {};
template <>
struct Convert<F16, F64> : ConvertByF32<F16, F64> {};

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
