// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pooling/pooling.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void max_pool(float* y, const float* x, const PoolShape& shape) noexcept;
void max_pool_backward(float* dx, const float* dy, const float* x, const float* y, const PoolShape& shape) noexcept;
void mean_pool_backward(float* dx, const float* dy, const PoolShape& shape) noexcept;
void max_pool(double* y, const double* x, const PoolShape& shape) noexcept;
void max_pool_backward(double* dx, const double* dy, const double* x, const double* y, const PoolShape& shape) noexcept;
void mean_pool_backward(double* dx, const double* dy, const PoolShape& shape) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void max_pool(float* y, const float* x, const PoolShape& shape) noexcept;
void max_pool_backward(float* dx, const float* dy, const float* x, const float* y, const PoolShape& shape) noexcept;
void mean_pool_backward(float* dx, const float* dy, const PoolShape& shape) noexcept;
void max_pool(double* y, const double* x, const PoolShape& shape) noexcept;
void max_pool_backward(double* dx, const double* dy, const double* x, const double* y, const PoolShape& shape) noexcept;
void mean_pool_backward(double* dx, const double* dy, const PoolShape& shape) noexcept;
}  // namespace trireme::kernels::avx2
