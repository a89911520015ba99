// SPDX-License-Identifier: Apache-2.0
#include "kernels/adamw/adamw.hpp"

#include "kernels/adamw/simd.hpp"

#include <cassert>
#include <cmath>

namespace trireme::kernels {
namespace {

/// base^exponent by squaring: the same bits everywhere, which std::pow does not promise.
double power(double base, std::uint64_t exponent) noexcept {
  double result = 1.0;
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1u) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace

void adamw(const AdamWCall& call, Isa isa) noexcept {
  assert(call.dtype == DType::f32 || call.dtype == DType::f64);
  assert(call.step >= 1);
  AdamWScalars scalars{call.gradient_scale,
                       1.0 - call.learning_rate * call.weight_decay,
                       call.beta1,
                       1.0 - call.beta1,
                       call.beta2,
                       1.0 - call.beta2,
                       call.learning_rate / (1.0 - power(call.beta1, call.step)),
                       std::sqrt(1.0 - power(call.beta2, call.step)),
                       call.epsilon};
  isa >= Isa::avx2 ? avx2::adamw(call, scalars) : portable::adamw(call, scalars);
}

}  // namespace trireme::kernels
