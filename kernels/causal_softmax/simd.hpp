// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/causal_softmax/causal_softmax.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void causal_softmax(float* values, std::size_t length, float scale) noexcept;
void causal_softmax_backward(float* gradient, const float* weights, std::size_t length, float scale) noexcept;
void causal_softmax(double* values, std::size_t length, double scale) noexcept;
void causal_softmax_backward(double* gradient, const double* weights, std::size_t length, double scale) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void causal_softmax(float* values, std::size_t length, float scale) noexcept;
void causal_softmax_backward(float* gradient, const float* weights, std::size_t length, float scale) noexcept;
void causal_softmax(double* values, std::size_t length, double scale) noexcept;
void causal_softmax_backward(double* gradient, const double* weights, std::size_t length, double scale) noexcept;
}  // namespace trireme::kernels::avx2
