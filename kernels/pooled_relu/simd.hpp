// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pooled_relu/pooled_relu.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void pooled_relu(float* y, PoolPlace* places, const float* x, const float* bias, const PoolShape& shape) noexcept;
void pooled_relu_mask(float* dy, const PoolPlace* places, std::size_t count) noexcept;
void pooled_relu_backward(float* dx, const float* dy, const PoolPlace* places, const PoolShape& shape) noexcept;
void pooled_relu(double* y, PoolPlace* places, const double* x, const double* bias, const PoolShape& shape) noexcept;
void pooled_relu_mask(double* dy, const PoolPlace* places, std::size_t count) noexcept;
void pooled_relu_backward(double* dx, const double* dy, const PoolPlace* places, const PoolShape& shape) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void pooled_relu(float* y, PoolPlace* places, const float* x, const float* bias, const PoolShape& shape) noexcept;
void pooled_relu_mask(float* dy, const PoolPlace* places, std::size_t count) noexcept;
void pooled_relu_backward(float* dx, const float* dy, const PoolPlace* places, const PoolShape& shape) noexcept;
void pooled_relu(double* y, PoolPlace* places, const double* x, const double* bias, const PoolShape& shape) noexcept;
void pooled_relu_mask(double* dy, const PoolPlace* places, std::size_t count) noexcept;
void pooled_relu_backward(double* dx, const double* dy, const PoolPlace* places, const PoolShape& shape) noexcept;
}  // namespace trireme::kernels::avx2
