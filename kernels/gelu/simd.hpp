// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/gelu/gelu.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void add_bias_gelu(float* activations, float* values, const float* bias, std::size_t rows,
                   std::size_t columns) noexcept;
void gelu_backward(float* dx, const float* dy, const float* values, std::size_t count) noexcept;
void add_bias_gelu(double* activations, double* values, const double* bias, std::size_t rows,
                   std::size_t columns) noexcept;
void gelu_backward(double* dx, const double* dy, const double* values, std::size_t count) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void add_bias_gelu(float* activations, float* values, const float* bias, std::size_t rows,
                   std::size_t columns) noexcept;
void gelu_backward(float* dx, const float* dy, const float* values, std::size_t count) noexcept;
void add_bias_gelu(double* activations, double* values, const double* bias, std::size_t rows,
                   std::size_t columns) noexcept;
void gelu_backward(double* dx, const double* dy, const double* values, std::size_t count) noexcept;
}  // namespace trireme::kernels::avx2
namespace trireme::kernels::avx512 {
void add_bias_gelu(float* activations, float* values, const float* bias, std::size_t rows,
                   std::size_t columns) noexcept;
void gelu_backward(float* dx, const float* dy, const float* values, std::size_t count) noexcept;
void add_bias_gelu(double* activations, double* values, const double* bias, std::size_t rows,
                   std::size_t columns) noexcept;
void gelu_backward(double* dx, const double* dy, const double* values, std::size_t count) noexcept;
}  // namespace trireme::kernels::avx512
