// SPDX-License-Identifier: Apache-2.0
#include "kernels/residual/reference.hpp"

namespace trireme::kernels::reference {

template <class T>
void add_bias_residual(T* sum, const T* values, const T* bias, const T* residual, std::size_t rows,
                       std::size_t columns) {
  for (std::size_t i = 0; i < rows * columns; ++i) sum[i] = residual[i] + (values[i] + bias[i % columns]);
}

template <class T>
void add(T* sum, const T* a, const T* b, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) sum[i] = a[i] + b[i];
}

template void add_bias_residual(float* sum, const float* values, const float* bias, const float* residual,
                                std::size_t rows, std::size_t columns);
template void add_bias_residual(double* sum, const double* values, const double* bias, const double* residual,
                                std::size_t rows, std::size_t columns);
template void add(float* sum, const float* a, const float* b, std::size_t count);
template void add(double* sum, const double* a, const double* b, std::size_t count);

}  // namespace trireme::kernels::reference
