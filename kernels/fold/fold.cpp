// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/fold.hpp"

#include "kernels/fold/simd.hpp"

#include <cassert>

namespace trireme::kernels {

void scale(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
           Isa isa) noexcept {
  assert(is_floating(source_dtype) && is_supported(source_dtype));
  switch (isa) {
    case Isa::avx512: return avx512::scale(destination, source, source_dtype, weight, count);
    case Isa::avx2: return avx2::scale(destination, source, source_dtype, weight, count);
    case Isa::portable: break;
  }
  portable::scale(destination, source, source_dtype, weight, count);
}

void scale_add(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
               Isa isa) noexcept {
  assert(is_floating(source_dtype) && is_supported(source_dtype));
  switch (isa) {
    case Isa::avx512: return avx512::scale_add(destination, source, source_dtype, weight, count);
    case Isa::avx2: return avx2::scale_add(destination, source, source_dtype, weight, count);
    case Isa::portable: break;
  }
  portable::scale_add(destination, source, source_dtype, weight, count);
}

void scale_divide(void* destination, const void* source, DType source_dtype, double weight, double divisor,
                  std::size_t count, Isa isa) noexcept {
  assert(is_floating(source_dtype) && is_supported(source_dtype));
  switch (isa) {
    case Isa::avx512: return avx512::scale_divide(destination, source, source_dtype, weight, divisor, count);
    case Isa::avx2: return avx2::scale_divide(destination, source, source_dtype, weight, divisor, count);
    case Isa::portable: break;
  }
  portable::scale_divide(destination, source, source_dtype, weight, divisor, count);
}

}  // namespace trireme::kernels
