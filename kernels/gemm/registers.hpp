// SPDX-License-Identifier: Apache-2.0
// What a product of matrices does with a register, per instruction set. Included by gemm/simd.cpp only; see formats.hpp
// for why it is closed in itself.
#pragma once

#include "kernels/formats.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// Register: `lanes` elements; there are `registers` of them. A tile has at most `high` rows of two, which leaves enough
/// for the vectors of its last steps (tile.hpp).
template <class T>
struct Lanes;

#if defined(__AVX512F__)

template <>
struct Lanes<float> {
  using Register = __m512;
  static constexpr std::size_t lanes = 16, registers = 32, high = 12;
  [[gnu::always_inline]] static Register zero() { return _mm512_setzero_ps(); }
  [[gnu::always_inline]] static Register load(const float* from) { return _mm512_loadu_ps(from); }
  [[gnu::always_inline]] static Register broadcast(const float* from) { return _mm512_set1_ps(*from); }
  [[gnu::always_inline]] static void store(float* to, Register value) { _mm512_storeu_ps(to, value); }
  [[gnu::always_inline]] static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
  [[gnu::always_inline]] static Register fma(Register a, Register b, Register sum) {
    return _mm512_fmadd_ps(a, b, sum);
  }
};

template <>
struct Lanes<double> {
  using Register = __m512d;
  static constexpr std::size_t lanes = 8, registers = 32, high = 12;
  [[gnu::always_inline]] static Register zero() { return _mm512_setzero_pd(); }
  [[gnu::always_inline]] static Register load(const double* from) { return _mm512_loadu_pd(from); }
  [[gnu::always_inline]] static Register broadcast(const double* from) { return _mm512_set1_pd(*from); }
  [[gnu::always_inline]] static void store(double* to, Register value) { _mm512_storeu_pd(to, value); }
  [[gnu::always_inline]] static Register add(Register a, Register b) { return _mm512_add_pd(a, b); }
  [[gnu::always_inline]] static Register fma(Register a, Register b, Register sum) {
    return _mm512_fmadd_pd(a, b, sum);
  }
};

#elif defined(__AVX2__) && defined(__FMA__)

template <>
struct Lanes<float> {
  using Register = __m256;
  static constexpr std::size_t lanes = 8, registers = 16, high = 6;
  [[gnu::always_inline]] static Register zero() { return _mm256_setzero_ps(); }
  [[gnu::always_inline]] static Register load(const float* from) { return _mm256_loadu_ps(from); }
  [[gnu::always_inline]] static Register broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  [[gnu::always_inline]] static void store(float* to, Register value) { _mm256_storeu_ps(to, value); }
  [[gnu::always_inline]] static Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
  [[gnu::always_inline]] static Register fma(Register a, Register b, Register sum) {
    return _mm256_fmadd_ps(a, b, sum);
  }
};

template <>
struct Lanes<double> {
  using Register = __m256d;
  static constexpr std::size_t lanes = 4, registers = 16, high = 6;
  [[gnu::always_inline]] static Register zero() { return _mm256_setzero_pd(); }
  [[gnu::always_inline]] static Register load(const double* from) { return _mm256_loadu_pd(from); }
  [[gnu::always_inline]] static Register broadcast(const double* from) { return _mm256_broadcast_sd(from); }
  [[gnu::always_inline]] static void store(double* to, Register value) { _mm256_storeu_pd(to, value); }
  [[gnu::always_inline]] static Register add(Register a, Register b) { return _mm256_add_pd(a, b); }
  [[gnu::always_inline]] static Register fma(Register a, Register b, Register sum) {
    return _mm256_fmadd_pd(a, b, sum);
  }
};

#else

[[gnu::always_inline]] inline float fused(float a, float b, float sum) { return __builtin_fmaf(a, b, sum); }
[[gnu::always_inline]] inline double fused(double a, double b, double sum) { return __builtin_fma(a, b, sum); }

/// 16 bytes of any architecture; where the baseline has no fused instruction, the C library computes it.
template <class T>
struct Lanes {
  typedef T Register __attribute__((vector_size(16)));
  static constexpr std::size_t lanes = 16 / sizeof(T), registers = 16, high = 6;
  [[gnu::always_inline]] static Register zero() { return Register{}; }
  [[gnu::always_inline]] static Register load(const T* from) {
    Register value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
  }
  [[gnu::always_inline]] static Register broadcast(const T* from) { return *from - Register{}; }
  [[gnu::always_inline]] static void store(T* to, Register value) { __builtin_memcpy(to, &value, sizeof value); }
  [[gnu::always_inline]] static Register add(Register a, Register b) { return a + b; }
  [[gnu::always_inline]] static Register fma(Register a, Register b, Register sum) {
    for (std::size_t l = 0; l < lanes; ++l) sum[l] = fused(a[l], b[l], sum[l]);
    return sum;
  }
};

#endif

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
