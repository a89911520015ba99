// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dense/dense.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void add_bias(float* values, const float* bias, std::size_t rows, std::size_t columns) noexcept;
void add_bias_relu(float* values, const float* bias, std::size_t rows, std::size_t columns) noexcept;
void relu_backward(float* dx, const float* dy, const float* activation, std::size_t count) noexcept;
void column_sum(float* result, const float* matrix, std::size_t rows, std::size_t columns) noexcept;
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<float>& call) noexcept;
void add_bias(double* values, const double* bias, std::size_t rows, std::size_t columns) noexcept;
void add_bias_relu(double* values, const double* bias, std::size_t rows, std::size_t columns) noexcept;
void relu_backward(double* dx, const double* dy, const double* activation, std::size_t count) noexcept;
void column_sum(double* result, const double* matrix, std::size_t rows, std::size_t columns) noexcept;
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<double>& call) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void add_bias(float* values, const float* bias, std::size_t rows, std::size_t columns) noexcept;
void add_bias_relu(float* values, const float* bias, std::size_t rows, std::size_t columns) noexcept;
void relu_backward(float* dx, const float* dy, const float* activation, std::size_t count) noexcept;
void column_sum(float* result, const float* matrix, std::size_t rows, std::size_t columns) noexcept;
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<float>& call) noexcept;
void add_bias(double* values, const double* bias, std::size_t rows, std::size_t columns) noexcept;
void add_bias_relu(double* values, const double* bias, std::size_t rows, std::size_t columns) noexcept;
void relu_backward(double* dx, const double* dy, const double* activation, std::size_t count) noexcept;
void column_sum(double* result, const double* matrix, std::size_t rows, std::size_t columns) noexcept;
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<double>& call) noexcept;
}  // namespace trireme::kernels::avx2
