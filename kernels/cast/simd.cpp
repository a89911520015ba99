// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast/simd.hpp"

#include "kernels/convert.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class From>
bool cast_from(void* destination, DType to, const void* source, std::size_t count) noexcept {
  switch (to) {
    case DType::f64: Convert<F64, From>::run(destination, source, count); return true;
    case DType::f32: Convert<F32, From>::run(destination, source, count); return true;
    case DType::f16: Convert<F16, From>::run(destination, source, count); return true;
    case DType::bf16: Convert<BF16, From>::run(destination, source, count); return true;
    case DType::f8e4m3: Convert<F8E4M3, From>::run(destination, source, count); return true;
    case DType::f8e5m2: Convert<F8E5M2, From>::run(destination, source, count); return true;
    default: return false;
  }
}

}  // namespace

bool cast(void* destination, DType to, const void* source, DType from, std::size_t count) noexcept {
  switch (from) {
    case DType::f64: return cast_from<F64>(destination, to, source, count);
    case DType::f32: return cast_from<F32>(destination, to, source, count);
    case DType::f16: return cast_from<F16>(destination, to, source, count);
    case DType::bf16: return cast_from<BF16>(destination, to, source, count);
    case DType::f8e4m3: return cast_from<F8E4M3>(destination, to, source, count);
    case DType::f8e5m2: return cast_from<F8E5M2>(destination, to, source, count);
    default: return false;
  }
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
