// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/residual/residual.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void add_bias_residual(float* sum, const float* values, const float* bias, const float* residual, std::size_t rows,
                       std::size_t columns) noexcept;
void add(float* sum, const float* a, const float* b, std::size_t count) noexcept;
void add_bias_residual(double* sum, const double* values, const double* bias, const double* residual, std::size_t rows,
                       std::size_t columns) noexcept;
void add(double* sum, const double* a, const double* b, std::size_t count) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void add_bias_residual(float* sum, const float* values, const float* bias, const float* residual, std::size_t rows,
                       std::size_t columns) noexcept;
void add(float* sum, const float* a, const float* b, std::size_t count) noexcept;
void add_bias_residual(double* sum, const double* values, const double* bias, const double* residual, std::size_t rows,
                       std::size_t columns) noexcept;
void add(double* sum, const double* a, const double* b, std::size_t count) noexcept;
}  // namespace trireme::kernels::avx2
