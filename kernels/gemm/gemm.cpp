// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/gemm.hpp"

#include "kernels/gemm/simd.hpp"

#include <cassert>

namespace trireme::kernels {

void gemm(const GemmCall& call, void* workspace, Isa isa) noexcept {
  assert(call.dtype == DType::f32 || call.dtype == DType::f64);
  switch (isa) {
    case Isa::avx512: return avx512::gemm(call, workspace);
    case Isa::avx2: return avx2::gemm(call, workspace);
    case Isa::portable: return portable::gemm(call, workspace);
  }
}

}  // namespace trireme::kernels
