// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/batch_norm/batch_norm.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void column_moments(double* mean, double* squares, const float* x, std::size_t rows, std::size_t columns) noexcept;
void normalise(const NormaliseCall<float>& call) noexcept;
void derivative_sums(const DerivativeSumsCall<float>& call) noexcept;
void normalise_backward(const NormaliseBackwardCall<float>& call) noexcept;
void column_moments(double* mean, double* squares, const double* x, std::size_t rows, std::size_t columns) noexcept;
void normalise(const NormaliseCall<double>& call) noexcept;
void derivative_sums(const DerivativeSumsCall<double>& call) noexcept;
void normalise_backward(const NormaliseBackwardCall<double>& call) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void column_moments(double* mean, double* squares, const float* x, std::size_t rows, std::size_t columns) noexcept;
void normalise(const NormaliseCall<float>& call) noexcept;
void derivative_sums(const DerivativeSumsCall<float>& call) noexcept;
void normalise_backward(const NormaliseBackwardCall<float>& call) noexcept;
void column_moments(double* mean, double* squares, const double* x, std::size_t rows, std::size_t columns) noexcept;
void normalise(const NormaliseCall<double>& call) noexcept;
void derivative_sums(const DerivativeSumsCall<double>& call) noexcept;
void normalise_backward(const NormaliseBackwardCall<double>& call) noexcept;
}  // namespace trireme::kernels::avx2
