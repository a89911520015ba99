// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/plane_convolution/plane_convolution.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void plane_convolution(float* y, PoolPlace* places, const float* x, const float* weight, const float* bias,
                       const PlaneShape& shape, float* padded) noexcept;
void plane_gradients(float* weights, float* biases, const float* x, const float* dy, const PoolPlace* places,
                     const PlaneShape& shape, float* padded) noexcept;
void plane_convolution(double* y, PoolPlace* places, const double* x, const double* weight, const double* bias,
                       const PlaneShape& shape, double* padded) noexcept;
void plane_gradients(double* weights, double* biases, const double* x, const double* dy, const PoolPlace* places,
                     const PlaneShape& shape, double* padded) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void plane_convolution(float* y, PoolPlace* places, const float* x, const float* weight, const float* bias,
                       const PlaneShape& shape, float* padded) noexcept;
void plane_gradients(float* weights, float* biases, const float* x, const float* dy, const PoolPlace* places,
                     const PlaneShape& shape, float* padded) noexcept;
void plane_convolution(double* y, PoolPlace* places, const double* x, const double* weight, const double* bias,
                       const PlaneShape& shape, double* padded) noexcept;
void plane_gradients(double* weights, double* biases, const double* x, const double* dy, const PoolPlace* places,
                     const PlaneShape& shape, double* padded) noexcept;
}  // namespace trireme::kernels::avx2
