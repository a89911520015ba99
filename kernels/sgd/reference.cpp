// SPDX-License-Identifier: Apache-2.0
#include "kernels/sgd/reference.hpp"

#include "kernels/cast/reference.hpp"

namespace trireme::kernels::reference {
namespace {

template <class T>
void step(const SgdCall& call) noexcept {
  for (std::size_t i = 0; i < call.count; ++i) {
    T p = static_cast<T>(load(call.parameter, call.dtype, i));
    T g = static_cast<T>(load(call.gradient, call.dtype, i)) * static_cast<T>(call.gradient_scale);
    if (call.weight_decay != 0.0) g = g + static_cast<T>(call.weight_decay) * p;
    if (call.momentum != 0.0) {
      T momentum = static_cast<T>(call.momentum);
      T buffer = g;
      if (!call.first_step) {
        buffer = momentum * static_cast<T>(load(call.momentum_buffer, call.dtype, i)) +
                 static_cast<T>(1.0 - call.dampening) * g;
      }
      store(call.momentum_buffer, call.dtype, i, buffer);
      g = call.nesterov ? g + momentum * buffer : buffer;
    }
    store(call.parameter, call.dtype, i, p - static_cast<T>(call.learning_rate) * g);
  }
}

}  // namespace

void sgd(const SgdCall& call) noexcept { call.dtype == DType::f64 ? step<double>(call) : step<float>(call); }

}  // namespace trireme::kernels::reference
