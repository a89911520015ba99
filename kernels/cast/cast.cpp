// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast/cast.hpp"

#include "kernels/cast/simd.hpp"

#include <cstring>

namespace trireme::kernels {

bool cast(void* destination, DType to, const void* source, DType from, std::size_t count, Isa isa) noexcept {
  if (to == from) {
    if (count != 0) std::memcpy(destination, source, count * size_of(to));
    return true;
  }
  switch (isa) {
    case Isa::avx512: return avx512::cast(destination, to, source, from, count);
    case Isa::avx2: return avx2::cast(destination, to, source, from, count);
    case Isa::portable: break;
  }
  return portable::cast(destination, to, source, from, count);
}

}  // namespace trireme::kernels
