// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/simd.hpp"

#include "kernels/formats.hpp"

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

template <bool add>
void fold_f16(void* destination, const void* source, double weight, std::size_t count) noexcept {
  F32::Raw* d = static_cast<F32::Raw*>(destination);
  const F16::Raw* s = static_cast<const F16::Raw*>(source);
  alignas(64) float widened[chunk];
  for (std::size_t begin = 0; begin < count; begin += chunk) {
    std::size_t n = count - begin < chunk ? count - begin : chunk;
    Convert<F32, F16>::run(widened, s + begin, n);
    fold<F32, F32, add>(d + begin, widened, weight, n);
  }
}

template <bool add>
void fold_any(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept {
  switch (dtype) {
    case DType::f64: fold<F64, F64, add>(destination, source, weight, count); break;
    case DType::f32: fold<F32, F32, add>(destination, source, weight, count); break;
    case DType::f16: fold_f16<add>(destination, source, weight, count); break;
    case DType::bf16: fold<F32, BF16, add>(destination, source, weight, count); break;
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

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
