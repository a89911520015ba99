// SPDX-License-Identifier: Apache-2.0
// Sixteen elements at once, with AVX-512 F, BW, VL and DQ: as pack_avx2.hpp. Included by pack.hpp only.
#pragma once

#include <immintrin.h>

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

using Vector = __m512;

inline constexpr std::size_t pack_width = 16;

inline Vector vector_of(float value) { return _mm512_set1_ps(value); }

template <>
struct Pack<F32> {
  static constexpr bool exists = true;
  using Packed = __m512;
  static Vector widen(Packed packed) { return packed; }
  static Packed narrow(Vector value) { return value; }
};

template <>
struct Pack<BF16> {
  static constexpr bool exists = true;
  using Packed = __m256i;
  static Vector widen(Packed packed) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(packed), 16));
  }
  static Packed narrow(Vector value) {
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i high = _mm512_srli_epi32(bits, 16);
    const __m512i half = _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_si512(high, _mm512_set1_epi32(1)));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
    const __mmask16 undefined = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, undefined, high, _mm512_set1_epi32(0x40)));
  }
};

template <>
struct Pack<F16> {
  static constexpr bool exists = true;
  using Packed = __m256i;
  static Vector widen(Packed packed) { return _mm512_cvtph_ps(packed); }
  static Packed narrow(Vector value) { return _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
};

template <>
struct Pack<F8E5M2> {
  static constexpr bool exists = true;
  using Packed = __m128i;
  static Vector widen(Packed packed) { return _mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(packed), 8)); }
  static Packed narrow(Vector value) {
    const __m512 sign = _mm512_set1_ps(-0.0f);
    const __m512 infinite = _mm512_set1_ps(0x1p16f);
    const __m512 magnitude = _mm512_min_ps(infinite, _mm512_andnot_ps(sign, value));  // NaN passes as second operand
    const __m512 power = _mm512_and_ps(magnitude, _mm512_castsi512_ps(_mm512_set1_epi32(0x7f800000)));
    const __m512 aligner = _mm512_mul_ps(_mm512_max_ps(power, _mm512_set1_ps(0x1p-14f)), _mm512_set1_ps(0x1p21f));
    const __m512 rounded = _mm512_sub_ps(_mm512_add_ps(magnitude, aligner), aligner);
    const __m256i halves = Pack<F16>::narrow(_mm512_or_ps(rounded, _mm512_and_ps(sign, value)));
    return _mm256_cvtepi16_epi8(_mm256_srli_epi16(halves, 8));
  }
};

template <>
struct Pack<F8E4M3> {
  static constexpr bool exists = true;
  using Packed = __m128i;
  static Vector widen(Packed packed) {
    const __m256i wide = _mm256_slli_epi16(_mm256_cvtepi8_epi16(packed), 7);  // the sign twice
    const __m256i all_ones = _mm256_set1_epi16(0x3f80);
    const __mmask16 undefined = _mm256_cmpeq_epi16_mask(_mm256_and_si256(wide, all_ones), all_ones);
    const __m256i half = _mm256_and_si256(wide, _mm256_set1_epi16(static_cast<short>(0xbfff)));
    const __m256i quieted = _mm256_mask_mov_epi16(half, undefined, _mm256_set1_epi16(0x7e00));
    return _mm512_mul_ps(_mm512_cvtph_ps(quieted), _mm512_set1_ps(0x1p8f));
  }
  static Packed narrow(Vector value) {
    const __m512i all = _mm512_castps_si512(value);
    const __m512i bits = _mm512_and_si512(all, _mm512_set1_epi32(0x7fffffff));
    const __m512i aligner = _mm512_set1_epi32(F8E4M3::aligner);
    const __m512 shifted = _mm512_add_ps(_mm512_castsi512_ps(bits), _mm512_castsi512_ps(aligner));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 20), _mm512_set1_epi32(1));
    const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7ffff - F8E4M3::rebias));
    const __m512i normal = _mm512_srai_epi32(_mm512_add_epi32(bits, half), 20);
    const __mmask16 small = _mm512_cmplt_epi32_mask(bits, _mm512_set1_epi32(F8E4M3::least_normal));
    const __m512i rounded = _mm512_mask_sub_epi32(normal, small, _mm512_castps_si512(shifted), aligner);
    const __m512i finite = _mm512_min_epi32(rounded, _mm512_set1_epi32(0x7f));
    const __m512i sign = _mm512_and_si512(_mm512_srli_epi32(all, 24), _mm512_set1_epi32(0x80));
    return _mm512_cvtepi32_epi8(_mm512_or_si512(finite, sign));
  }
};

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
