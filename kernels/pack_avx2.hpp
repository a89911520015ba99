// SPDX-License-Identifier: Apache-2.0
// Eight elements at once, with AVX2 and F16C. Included by pack.hpp only.
#pragma once

#include <immintrin.h>

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

using Vector = __m256;

inline constexpr std::size_t pack_width = 8;

inline Vector vector_of(float value) { return _mm256_set1_ps(value); }

template <>
struct Pack<F32> {
  static constexpr bool exists = true;
  using Packed = __m256;
  static Vector widen(Packed packed) { return packed; }
  static Packed narrow(Vector value) { return value; }
};

template <>
struct Pack<BF16> {
  static constexpr bool exists = true;
  using Packed = __m128i;
  static Vector widen(Packed packed) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(packed), 16));
  }
  static Packed narrow(Vector value) {
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i high = _mm256_srli_epi32(bits, 16);
    const __m256i half = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(high, _mm256_set1_epi32(1)));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i undefined = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    const __m256i result = _mm256_blendv_epi8(rounded, quiet, undefined);
    return _mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1));
  }
};

template <>
struct Pack<F16> {
  static constexpr bool exists = true;
  using Packed = __m128i;
  static Vector widen(Packed packed) { return _mm256_cvtph_ps(packed); }
  static Packed narrow(Vector value) { return _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
};

/// The low bytes of eight words that are below 256.
inline long long bytes_of(__m128i words) { return _mm_cvtsi128_si64(_mm_packus_epi16(words, words)); }

/// By way of f16, of which this is the upper byte.
template <>
struct Pack<F8E5M2> {
  static constexpr bool exists = true;
  using Packed = long long;
  static Vector widen(Packed packed) {
    return _mm256_cvtph_ps(_mm_unpacklo_epi8(_mm_setzero_si128(), _mm_cvtsi64_si128(packed)));
  }
  /// First to a value that the format holds exactly: adding the quantum of the result times 2^23 lets the FPU round to
  /// nearest even there, as F8E5M2::narrow does for subnormals.
  static Packed narrow(Vector value) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256 infinite = _mm256_set1_ps(0x1p16f);                                  // to f16 and to this format
    const __m256 magnitude = _mm256_min_ps(infinite, _mm256_andnot_ps(sign, value));  // NaN passes as second operand
    const __m256 power = _mm256_and_ps(magnitude, _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000)));
    const __m256 aligner = _mm256_mul_ps(_mm256_max_ps(power, _mm256_set1_ps(0x1p-14f)), _mm256_set1_ps(0x1p21f));
    const __m256 rounded = _mm256_sub_ps(_mm256_add_ps(magnitude, aligner), aligner);
    return bytes_of(_mm_srli_epi16(Pack<F16>::narrow(_mm256_or_ps(rounded, _mm256_and_ps(sign, value))), 8));
  }
};

template <>
struct Pack<F8E4M3> {
  static constexpr bool exists = true;
  using Packed = long long;
  /// By way of f16: under the exponent of f16 this is 2^-8 of the value, subnormals too.
  static Vector widen(Packed packed) {
    const __m128i wide = _mm_slli_epi16(_mm_cvtepi8_epi16(_mm_cvtsi64_si128(packed)), 7);  // the sign twice
    const __m128i all_ones = _mm_set1_epi16(0x3f80);
    const __m128i undefined = _mm_cmpeq_epi16(_mm_and_si128(wide, all_ones), all_ones);
    const __m128i quiet = _mm_and_si128(undefined, _mm_set1_epi16(0x7e00));
    const __m128i half = _mm_and_si128(wide, _mm_set1_epi16(static_cast<short>(0xbfff)));
    return _mm256_mul_ps(_mm256_cvtph_ps(_mm_or_si128(half, quiet)), _mm256_set1_ps(0x1p8f));
  }
  /// As F8E4M3::narrow, step by step.
  static Packed narrow(Vector value) {
    const __m256i all = _mm256_castps_si256(value);
    const __m256i bits = _mm256_and_si256(all, _mm256_set1_epi32(0x7fffffff));
    const __m256i aligner = _mm256_set1_epi32(F8E4M3::aligner);
    const __m256 shifted = _mm256_add_ps(_mm256_castsi256_ps(bits), _mm256_castsi256_ps(aligner));
    const __m256i subnormal = _mm256_sub_epi32(_mm256_castps_si256(shifted), aligner);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 20), _mm256_set1_epi32(1));
    const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7ffff - F8E4M3::rebias));
    const __m256i normal = _mm256_srai_epi32(_mm256_add_epi32(bits, half), 20);
    const __m256i small = _mm256_cmpgt_epi32(_mm256_set1_epi32(F8E4M3::least_normal), bits);
    const __m256i rounded = _mm256_blendv_epi8(normal, subnormal, small);
    const __m256i finite = _mm256_min_epi32(rounded, _mm256_set1_epi32(0x7f));
    const __m256i sign = _mm256_and_si256(_mm256_srli_epi32(all, 24), _mm256_set1_epi32(0x80));
    const __m256i result = _mm256_or_si256(finite, sign);
    return bytes_of(_mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1)));
  }
};

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
