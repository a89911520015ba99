// SPDX-License-Identifier: Apache-2.0
// Copies and transposes of small parts of a matrix. Included by gemm/simd.cpp only.
#pragma once

#include "kernels/gemm/registers.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

#if defined(__AVX2__)

/// The side of the squares that are transposed in registers.
template <class T>
inline constexpr std::size_t square = 32 / sizeof(T);

inline void store_first(float* to, __m256 row, std::size_t count) {
  if (count >= 8) return _mm256_storeu_ps(to, row);
  __m128 four = _mm256_castps256_ps128(row);
  if (count & 4) {
    _mm_storeu_ps(to, four);
    four = _mm256_extractf128_ps(row, 1);
    to += 4;
  }
  if (count & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(to), four);
    four = _mm_movehl_ps(four, four);
    to += 2;
  }
  if (count & 1) _mm_store_ss(to, four);
}

inline void store_first(double* to, __m256d row, std::size_t count) {
  if (count >= 4) return _mm256_storeu_pd(to, row);
  __m128d two = _mm256_castpd256_pd128(row);
  if (count & 2) {
    _mm_storeu_pd(to, two);
    two = _mm256_extractf128_pd(row, 1);
    to += 2;
  }
  if (count & 1) _mm_store_sd(to, two);
}

/// to[c][r] = from[r][c] for 8 columns and the first `rows` of 8 rows, all of which are read.
inline void turn_square(float* to, std::size_t to_stride, const float* from, std::size_t from_stride,
                        std::size_t rows) {
  __m256 r[8], s[8];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < 4; ++i) {
    // Rows i and i + 4 in one register, so that no shuffle has to cross the halves.
    r[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + i * from_stride)),
                                _mm_loadu_ps(from + (i + 4) * from_stride), 1);
    r[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + i * from_stride + 4)),
                                    _mm_loadu_ps(from + (i + 4) * from_stride + 4), 1);
  }
#pragma GCC unroll 2
  for (std::size_t h = 0; h < 8; h += 4) {
    const __m256 low01 = _mm256_unpacklo_ps(r[h], r[h + 1]), high01 = _mm256_unpackhi_ps(r[h], r[h + 1]);
    const __m256 low23 = _mm256_unpacklo_ps(r[h + 2], r[h + 3]), high23 = _mm256_unpackhi_ps(r[h + 2], r[h + 3]);
    s[h] = _mm256_shuffle_ps(low01, low23, 0x44);
    s[h + 1] = _mm256_shuffle_ps(low01, low23, 0xee);
    s[h + 2] = _mm256_shuffle_ps(high01, high23, 0x44);
    s[h + 3] = _mm256_shuffle_ps(high01, high23, 0xee);
  }
#pragma GCC unroll 8
  for (std::size_t c = 0; c < 8; ++c) store_first(to + c * to_stride, s[c], rows);
}

inline void turn_square(double* to, std::size_t to_stride, const double* from, std::size_t from_stride,
                        std::size_t rows) {
  __m256d r[4];
#pragma GCC unroll 2
  for (std::size_t i = 0; i < 2; ++i) {
    r[i] = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(from + i * from_stride)),
                                _mm_loadu_pd(from + (i + 2) * from_stride), 1);
    r[i + 2] = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(from + i * from_stride + 2)),
                                    _mm_loadu_pd(from + (i + 2) * from_stride + 2), 1);
  }
  store_first(to, _mm256_unpacklo_pd(r[0], r[1]), rows);
  store_first(to + to_stride, _mm256_unpackhi_pd(r[0], r[1]), rows);
  store_first(to + 2 * to_stride, _mm256_unpacklo_pd(r[2], r[3]), rows);
  store_first(to + 3 * to_stride, _mm256_unpackhi_pd(r[2], r[3]), rows);
}

#else

template <class T>
inline constexpr std::size_t square = 1;

template <class T>
void turn_square(T* to, std::size_t, const T* from, std::size_t, std::size_t) {
  *to = *from;
}

#endif

/// As turn(), by small squares alone.
template <class T>
void turn_small(T* to, std::size_t to_stride, const T* from, std::size_t from_stride, std::size_t rows,
                std::size_t columns, std::size_t readable) noexcept {
  constexpr std::size_t side = square<T>;
  std::size_t r = 0;
  for (; r < rows && r + side <= readable; r += side) {
    const std::size_t count = rows - r < side ? rows - r : side;
    const T* source = from + r * from_stride;
    T* target = to + r;
    std::size_t c = 0;
    for (; c + side <= columns; c += side) {
      turn_square(target + c * to_stride, to_stride, source + c, from_stride, count);
    }
    for (; c < columns; ++c) {
      for (std::size_t i = 0; i < count; ++i) target[c * to_stride + i] = source[i * from_stride + c];
    }
  }
  for (; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) to[c * to_stride + r] = from[r * from_stride + c];
  }
}

#if defined(__AVX512F__)

/// The side of the large squares, of whole cache lines; 0: there are none.
template <class T>
inline constexpr std::size_t large_square = sizeof(T) == 4 ? 16 : 0;

/// to[c][r] = from[r][c] for 16 columns and the first `rows` of 16 rows, all of which are read. Not inlined: there it has
/// no register left, and every row passes through memory.
[[gnu::noinline]] inline void turn_large_square(float* to, std::size_t to_stride, const float* from,
                                                std::size_t from_stride, std::size_t rows) {
  __m512 s[16];
  // Within each quarter: elements of 4 rows that are neighbours side by side.
#pragma GCC unroll 4
  for (std::size_t h = 0; h < 16; h += 4) {
    __m512 r[4];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) r[i] = _mm512_loadu_ps(from + (h + i) * from_stride);
    const __m512 low01 = _mm512_unpacklo_ps(r[0], r[1]), high01 = _mm512_unpackhi_ps(r[0], r[1]);
    const __m512 low23 = _mm512_unpacklo_ps(r[2], r[3]), high23 = _mm512_unpackhi_ps(r[2], r[3]);
    s[h] = _mm512_shuffle_ps(low01, low23, 0x44);
    s[h + 1] = _mm512_shuffle_ps(low01, low23, 0xee);
    s[h + 2] = _mm512_shuffle_ps(high01, high23, 0x44);
    s[h + 3] = _mm512_shuffle_ps(high01, high23, 0xee);
  }
  // s[h + j] holds columns j, 4 + j, 8 + j, 12 + j of rows h to h + 3: the quarters change places.
  const auto mask = static_cast<__mmask16>((1u << rows) - 1);
#pragma GCC unroll 4
  for (std::size_t j = 0; j < 4; ++j) {
    const __m512 even_top = _mm512_shuffle_f32x4(s[j], s[j + 4], 0x88),
                 odd_top = _mm512_shuffle_f32x4(s[j], s[j + 4], 0xdd);
    const __m512 even_low = _mm512_shuffle_f32x4(s[j + 8], s[j + 12], 0x88),
                 odd_low = _mm512_shuffle_f32x4(s[j + 8], s[j + 12], 0xdd);
    _mm512_mask_storeu_ps(to + j * to_stride, mask, _mm512_shuffle_f32x4(even_top, even_low, 0x88));
    _mm512_mask_storeu_ps(to + (8 + j) * to_stride, mask, _mm512_shuffle_f32x4(even_top, even_low, 0xdd));
    _mm512_mask_storeu_ps(to + (4 + j) * to_stride, mask, _mm512_shuffle_f32x4(odd_top, odd_low, 0x88));
    _mm512_mask_storeu_ps(to + (12 + j) * to_stride, mask, _mm512_shuffle_f32x4(odd_top, odd_low, 0xdd));
  }
}

#else

template <class T>
inline constexpr std::size_t large_square = 0;

#endif

/// to[c][r] = from[r][c]. `readable` rows may be read, at least `rows` of them.
template <class T>
void turn(T* to, std::size_t to_stride, const T* from, std::size_t from_stride, std::size_t rows, std::size_t columns,
          std::size_t readable) noexcept {
  constexpr std::size_t large = large_square<T>;
  std::size_t r = 0;
  if constexpr (large != 0) {
    for (; r < rows && r + large <= readable; r += large) {
      const std::size_t count = rows - r < large ? rows - r : large;
      std::size_t c = 0;
      for (; c + large <= columns; c += large)
        turn_large_square(to + c * to_stride + r, to_stride, from + r * from_stride + c, from_stride, count);
      if (c < columns)
        turn_small(to + c * to_stride + r, to_stride, from + r * from_stride + c, from_stride, count, columns - c,
                   large);
    }
  }
  if (r < rows) turn_small(to + r, to_stride, from + r * from_stride, from_stride, rows - r, columns, readable - r);
}

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
