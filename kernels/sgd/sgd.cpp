// SPDX-License-Identifier: Apache-2.0
#include "kernels/sgd/sgd.hpp"

#include "kernels/sgd/simd.hpp"

#include <cassert>

namespace trireme::kernels {

void sgd(const SgdCall& call, Isa isa) noexcept {
  assert(call.dtype == DType::f32 || call.dtype == DType::f64);
  assert(call.momentum == 0.0 || call.momentum_buffer != nullptr || call.count == 0);
  isa >= Isa::avx2 ? avx2::sgd(call) : portable::sgd(call);
}

}  // namespace trireme::kernels
