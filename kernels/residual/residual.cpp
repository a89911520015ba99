// SPDX-License-Identifier: Apache-2.0
#include "kernels/residual/residual.hpp"

#include "kernels/residual/simd.hpp"

namespace trireme::kernels {

template <class T>
void add_bias_residual(T* sum, const T* values, const T* bias, const T* residual, std::size_t rows, std::size_t columns,
                       Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::add_bias_residual(sum, values, bias, residual, rows, columns)
                   : portable::add_bias_residual(sum, values, bias, residual, rows, columns);
}

template <class T>
void add(T* sum, const T* a, const T* b, std::size_t count, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::add(sum, a, b, count) : portable::add(sum, a, b, count);
}

template void add_bias_residual(float* sum, const float* values, const float* bias, const float* residual,
                                std::size_t rows, std::size_t columns, Isa) noexcept;
template void add_bias_residual(double* sum, const double* values, const double* bias, const double* residual,
                                std::size_t rows, std::size_t columns, Isa) noexcept;
template void add(float* sum, const float* a, const float* b, std::size_t count, Isa) noexcept;
template void add(double* sum, const double* a, const double* b, std::size_t count, Isa) noexcept;

}  // namespace trireme::kernels
