// SPDX-License-Identifier: Apache-2.0
#include "kernels/gelu/reference.hpp"

#include <cmath>

namespace trireme::kernels::reference {
namespace {

constexpr long double root_of_2_over_pi = 0.79788456080286535588L;

long double tanh_of(long double z) { return std::tanh(root_of_2_over_pi * (z + 0.044715L * z * z * z)); }

}  // namespace

template <class T>
void add_bias_gelu(T* activations, T* values, const T* bias, std::size_t rows, std::size_t columns) {
  for (std::size_t i = 0; i < rows * columns; ++i) {
    values[i] += bias[i % columns];
    const auto z = static_cast<long double>(values[i]);
    activations[i] = static_cast<T>(0.5L * z * (1.0L + tanh_of(z)));
  }
}

template <class T>
void gelu_backward(T* dx, const T* dy, const T* values, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto z = static_cast<long double>(values[i]);
    const long double t = tanh_of(z);
    const long double slope = root_of_2_over_pi * (1.0L + 3 * 0.044715L * z * z);
    dx[i] = static_cast<T>(static_cast<long double>(dy[i]) * (0.5L * (1.0L + t) + 0.5L * z * (1.0L - t * t) * slope));
  }
}

template void add_bias_gelu(float* activations, float* values, const float* bias, std::size_t rows,
                            std::size_t columns);
template void add_bias_gelu(double* activations, double* values, const double* bias, std::size_t rows,
                            std::size_t columns);
template void gelu_backward(float* dx, const float* dy, const float* values, std::size_t count);
template void gelu_backward(double* dx, const double* dy, const double* values, std::size_t count);

}  // namespace trireme::kernels::reference
