// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/simd.hpp"

#include "kernels/convert.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class A, class S, bool add>
void fold(void* destination, const void* source, double weight, std::size_t count) noexcept {
  typename A::Raw* d = static_cast<typename A::Raw*>(destination);
  const typename S::Raw* s = static_cast<const typename S::Raw*>(source);
  const auto w = static_cast<typename A::Value>(weight);
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) {
    auto product = static_cast<typename A::Value>(S::widen(s[i]) * w);
    d[i] = add ? d[i] + product : product;
  }
}

/// Whether the divisor is a power of two well inside the range: then x * (1 / divisor) and x / divisor are the same real
/// number, rounded once, and the multiplication is several times faster.
bool divides_as_product(double divisor) noexcept {
  int exponent = 0;
  const double mantissa = __builtin_frexp(divisor, &exponent);
  return (mantissa == 0.5 || mantissa == -0.5) && exponent > -100 && exponent < 100;
}

constexpr float greatest_of(float) { return __FLT_MAX__; }
constexpr double greatest_of(double) { return __DBL_MAX__; }

/// Whether A(A(x * weight) / weight) is x itself for all of them: the weight is a power of two of at least 1, so that no product is
/// rounded, and no element is so large (or no number) that one overflows. Reads, where the fold would write as well.
template <class A, class Bits>
bool weight_cancels(const void* source, double weight, double divisor, std::size_t count) noexcept {
  if (weight != divisor || weight < 1 || !divides_as_product(weight)) return false;
  typedef Bits Raw __attribute__((aligned(1), may_alias));
  const Raw* s = static_cast<const Raw*>(source);
  constexpr Bits magnitude = static_cast<Bits>(~Bits{0}) >> 1;
  const Bits most = __builtin_bit_cast(
      Bits, static_cast<typename A::Value>(static_cast<double>(greatest_of(typename A::Value{})) / weight));
  // From the end: what was written last is nearest, and would be gone by the time it is reached from the beginning.
  Bits largest = 0;
  for (std::size_t end = count; end > 0;) {
    const std::size_t begin = end > chunk ? end - chunk : 0;
#pragma GCC unroll 4
    for (std::size_t i = begin; i < end; ++i) {
      const Bits each = s[i] & magnitude;
      largest = each > largest ? each : largest;
    }
    end = begin;
  }
  return largest <= most;
}

template <class A, class S>
void fold_divide(void* destination, const void* source, double weight, double divisor, std::size_t count) noexcept {
  typename A::Raw* d = static_cast<typename A::Raw*>(destination);
  const typename S::Raw* s = static_cast<const typename S::Raw*>(source);
  const auto w = static_cast<typename A::Value>(weight);
  const auto by = static_cast<typename A::Value>(divisor);
  if (divides_as_product(static_cast<double>(by))) {
    const auto inverse = 1 / by;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
      auto product = static_cast<typename A::Value>(S::widen(s[i]) * w);
      d[i] = product * inverse;
    }
    return;
  }
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) {
    auto product = static_cast<typename A::Value>(S::widen(s[i]) * w);
    d[i] = product / by;
  }
}

template <class S>
void fold_divide_widened(void* destination, const void* source, double weight, double divisor,
                         std::size_t count) noexcept {
  F32::Raw* d = static_cast<F32::Raw*>(destination);
  const typename S::Raw* s = static_cast<const typename S::Raw*>(source);
  alignas(64) float widened[chunk];
  for (std::size_t begin = 0; begin < count; begin += chunk) {
    std::size_t n = count - begin < chunk ? count - begin : chunk;
    Convert<F32, S>::run(widened, s + begin, n);
    fold_divide<F32, F32>(d + begin, widened, weight, divisor, n);
  }
}

template <class S, bool add>
void fold_widened(void* destination, const void* source, double weight, std::size_t count) noexcept {
  F32::Raw* d = static_cast<F32::Raw*>(destination);
  const typename S::Raw* s = static_cast<const typename S::Raw*>(source);
  alignas(64) float widened[chunk];
  for (std::size_t begin = 0; begin < count; begin += chunk) {
    std::size_t n = count - begin < chunk ? count - begin : chunk;
    Convert<F32, S>::run(widened, s + begin, n);
    fold<F32, F32, add>(d + begin, widened, weight, n);
  }
}

template <bool add>
void fold_any(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept {
  switch (dtype) {
    case DType::f64: fold<F64, F64, add>(destination, source, weight, count); break;
    case DType::f32: fold<F32, F32, add>(destination, source, weight, count); break;
    case DType::f16: fold_widened<F16, add>(destination, source, weight, count); break;
    case DType::bf16: fold<F32, BF16, add>(destination, source, weight, count); break;
    case DType::f8e4m3: fold_widened<F8E4M3, add>(destination, source, weight, count); break;
    case DType::f8e5m2: fold_widened<F8E5M2, add>(destination, source, weight, count); break;
    default: break;
  }
}

}  // namespace

void scale(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept {
  fold_any<false>(destination, source, dtype, weight, count);
}

void scale_add(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept {
  fold_any<true>(destination, source, dtype, weight, count);
}

void scale_divide(void* destination, const void* source, DType dtype, double weight, double divisor,
                  std::size_t count) noexcept {
  if (destination == source &&
      (dtype == DType::f64   ? weight_cancels<F64, std::uint64_t>(source, weight, divisor, count)
       : dtype == DType::f32 ? weight_cancels<F32, std::uint32_t>(source, weight, divisor, count)
                             : false))
    return;
  switch (dtype) {
    case DType::f64: fold_divide<F64, F64>(destination, source, weight, divisor, count); break;
    case DType::f32: fold_divide<F32, F32>(destination, source, weight, divisor, count); break;
    case DType::f16: fold_divide_widened<F16>(destination, source, weight, divisor, count); break;
    case DType::bf16: fold_divide<F32, BF16>(destination, source, weight, divisor, count); break;
    case DType::f8e4m3: fold_divide_widened<F8E4M3>(destination, source, weight, divisor, count); break;
    case DType::f8e5m2: fold_divide_widened<F8E5M2>(destination, source, weight, divisor, count); break;
    default: break;
  }
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
