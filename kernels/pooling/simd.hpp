// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pooling/pooling.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void mean_pool_backward(float* dx, const float* dy, const PoolShape& shape) noexcept;
void mean_pool_backward(double* dx, const double* dy, const PoolShape& shape) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void mean_pool_backward(float* dx, const float* dy, const PoolShape& shape) noexcept;
void mean_pool_backward(double* dx, const double* dy, const PoolShape& shape) noexcept;
}  // namespace trireme::kernels::avx2
