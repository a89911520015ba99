// SPDX-License-Identifier: Apache-2.0
#include "kernels/residual/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class T>
void add_bias_residual_loop(T* sum, const T* values, const T* bias, const T* residual, std::size_t rows,
                            std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t begin = r * columns;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < columns; ++c) sum[begin + c] = residual[begin + c] + (values[begin + c] + bias[c]);
  }
}

template <class T>
void add_loop(T* sum, const T* a, const T* b, std::size_t count) {
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) sum[i] = a[i] + b[i];
}

}  // namespace

void add_bias_residual(float* sum, const float* values, const float* bias, const float* residual, std::size_t rows,
                       std::size_t columns) noexcept {
  add_bias_residual_loop(sum, values, bias, residual, rows, columns);
}
void add(float* sum, const float* a, const float* b, std::size_t count) noexcept { add_loop(sum, a, b, count); }
void add_bias_residual(double* sum, const double* values, const double* bias, const double* residual, std::size_t rows,
                       std::size_t columns) noexcept {
  add_bias_residual_loop(sum, values, bias, residual, rows, columns);
}
void add(double* sum, const double* a, const double* b, std::size_t count) noexcept { add_loop(sum, a, b, count); }

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
