// SPDX-License-Identifier: Apache-2.0
// Arrays from one format to another. Included by simd.cpp files only; see formats.hpp for why it is closed in itself.
#pragma once

#include "kernels/formats.hpp"
#include "kernels/pack.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// `count` elements of type From at `source` to type To at `destination`: one rounding at most.
template <class To, class From>
struct Convert {
  static void run(void* destination, const void* source, std::size_t count) noexcept {
    typename To::Raw* d = static_cast<typename To::Raw*>(destination);
    const typename From::Raw* s = static_cast<const typename From::Raw*>(source);
#if defined(TRIREME_KERNELS_PACKS)
    if constexpr (Pack<To>::exists && Pack<From>::exists) {
      std::size_t whole = count - count % pack_width;
      for (std::size_t i = 0; i < whole; i += pack_width) store<To>(d + i, Pack<To>::narrow(load<From>(s + i)));
      for (std::size_t i = whole; i < count; ++i) d[i] = To::narrow(From::widen(s[i]));
    } else
#endif
    {
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
template <int mantissa_bits, std::int32_t top>
struct Convert<F64, Float8<mantissa_bits, top>> : ConvertByF32<F64, Float8<mantissa_bits, top>> {};
template <int mantissa_bits, std::int32_t top>
struct Convert<Float8<mantissa_bits, top>, F64> : ConvertByF32<Float8<mantissa_bits, top>, F64> {};

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
