// SPDX-License-Identifier: Apache-2.0
#include "kernels/sgd/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

enum class Momentum { none, first, classical, first_nesterov, nesterov };

template <class S, Momentum kind, bool decays>
void step(const SgdCall& call) noexcept {
  using T = typename S::Value;
  typename S::Raw* p = static_cast<typename S::Raw*>(call.parameter);
  typename S::Raw* buffer = static_cast<typename S::Raw*>(call.momentum_buffer);
  const typename S::Raw* gradient = static_cast<const typename S::Raw*>(call.gradient);
  const auto scale = static_cast<T>(call.gradient_scale);
  const auto decay = static_cast<T>(call.weight_decay);
  const auto momentum = static_cast<T>(call.momentum);
  const auto undamped = static_cast<T>(1.0 - call.dampening);
  const auto rate = static_cast<T>(call.learning_rate);
  const std::size_t count = call.count;
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) {
    T g = gradient[i] * scale;
    if constexpr (decays) g = g + decay * p[i];
    if constexpr (kind != Momentum::none) {
      T b = g;
      if constexpr (kind == Momentum::classical || kind == Momentum::nesterov) b = momentum * buffer[i] + undamped * g;
      buffer[i] = b;
      if constexpr (kind == Momentum::first_nesterov || kind == Momentum::nesterov) {
        g = g + momentum * b;
      } else {
        g = b;
      }
    }
    p[i] = p[i] - rate * g;
  }
}

template <class S, Momentum kind>
void step_by_decay(const SgdCall& call) noexcept {
  call.weight_decay != 0.0 ? step<S, kind, true>(call) : step<S, kind, false>(call);
}

template <class S>
void step_as(const SgdCall& call) noexcept {
  if (call.momentum == 0.0) {
    step_by_decay<S, Momentum::none>(call);
  } else if (call.nesterov) {
    call.first_step ? step_by_decay<S, Momentum::first_nesterov>(call) : step_by_decay<S, Momentum::nesterov>(call);
  } else {
    call.first_step ? step_by_decay<S, Momentum::first>(call) : step_by_decay<S, Momentum::classical>(call);
  }
}

}  // namespace

void sgd(const SgdCall& call) noexcept { call.dtype == DType::f64 ? step_as<F64>(call) : step_as<F32>(call); }

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
