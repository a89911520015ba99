// SPDX-License-Identifier: Apache-2.0
#include "kernels/adamw/reference.hpp"

#include "kernels/cast/reference.hpp"

#include <cmath>

namespace trireme::kernels::reference {
namespace {

template <class T>
void step(const AdamWCall& call) noexcept {
  double beta1_power = 1.0;
  double beta2_power = 1.0;
  double square1 = call.beta1;
  double square2 = call.beta2;
  for (std::uint64_t t = call.step; t != 0; t /= 2) {
    if (t % 2 == 1) {
      beta1_power *= square1;
      beta2_power *= square2;
    }
    square1 *= square1;
    square2 *= square2;
  }
  for (std::size_t i = 0; i < call.count; ++i) {
    T p = static_cast<T>(load(call.parameter, call.dtype, i));
    T g = static_cast<T>(load(call.gradient, call.dtype, i)) * static_cast<T>(call.gradient_scale);
    T m = static_cast<T>(load(call.first_moment, call.dtype, i));
    T v = static_cast<T>(load(call.second_moment, call.dtype, i));
    p = p * static_cast<T>(1.0 - call.learning_rate * call.weight_decay);
    m = static_cast<T>(call.beta1) * m + static_cast<T>(1.0 - call.beta1) * g;
    v = static_cast<T>(call.beta2) * v + static_cast<T>(1.0 - call.beta2) * g * g;
    T denominator = std::sqrt(v) / static_cast<T>(std::sqrt(1.0 - beta2_power)) + static_cast<T>(call.epsilon);
    p = p - static_cast<T>(call.learning_rate / (1.0 - beta1_power)) * m / denominator;
    store(call.parameter, call.dtype, i, p);
    store(call.first_moment, call.dtype, i, m);
    store(call.second_moment, call.dtype, i, v);
  }
}

}  // namespace

void adamw(const AdamWCall& call) noexcept { call.dtype == DType::f64 ? step<double>(call) : step<float>(call); }

}  // namespace trireme::kernels::reference
