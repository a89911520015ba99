// SPDX-License-Identifier: Apache-2.0
#include "kernels/adamw/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

struct SquareRoot {
  static float of(float value) { return __builtin_sqrtf(value); }
  static double of(double value) { return __builtin_sqrt(value); }
};

template <class S>
void step(const AdamWCall& call, const AdamWScalars& scalars) noexcept {
  using T = typename S::Value;
  typename S::Raw* p = static_cast<typename S::Raw*>(call.parameter);
  typename S::Raw* first = static_cast<typename S::Raw*>(call.first_moment);
  typename S::Raw* second = static_cast<typename S::Raw*>(call.second_moment);
  const typename S::Raw* gradient = static_cast<const typename S::Raw*>(call.gradient);
  const auto scale = static_cast<T>(scalars.gradient_scale);
  const auto keep = static_cast<T>(scalars.keep);
  const auto beta1 = static_cast<T>(scalars.beta1);
  const auto beta1_complement = static_cast<T>(scalars.beta1_complement);
  const auto beta2 = static_cast<T>(scalars.beta2);
  const auto beta2_complement = static_cast<T>(scalars.beta2_complement);
  const auto step_size = static_cast<T>(scalars.step_size);
  const auto correction2 = static_cast<T>(scalars.correction2);
  const auto epsilon = static_cast<T>(scalars.epsilon);
  const std::size_t count = call.count;
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) {
    T g = gradient[i] * scale;
    T m = beta1 * first[i] + beta1_complement * g;
    T v = beta2 * second[i] + (beta2_complement * g) * g;
    T denominator = SquareRoot::of(v) / correction2 + epsilon;
    first[i] = m;
    second[i] = v;
    p[i] = p[i] * keep - (step_size * m) / denominator;
  }
}

}  // namespace

void adamw(const AdamWCall& call, const AdamWScalars& scalars) noexcept {
  call.dtype == DType::f64 ? step<F64>(call, scalars) : step<F32>(call, scalars);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
