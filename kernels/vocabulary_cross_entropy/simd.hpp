// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void row_maxima(float* greatest, const float* logits, std::size_t rows, std::size_t columns) noexcept;
void row_maxima(double* greatest, const double* logits, std::size_t rows, std::size_t columns) noexcept;
void row_exponentials(float* values, double* sums, const float* shift, std::size_t rows, std::size_t columns) noexcept;
void row_exponentials(double* values, double* sums, const double* shift, std::size_t rows,
                      std::size_t columns) noexcept;
void scale_rows(float* values, const double* factors, std::size_t rows, std::size_t columns) noexcept;
void scale_rows(double* values, const double* factors, std::size_t rows, std::size_t columns) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void row_maxima(float* greatest, const float* logits, std::size_t rows, std::size_t columns) noexcept;
void row_maxima(double* greatest, const double* logits, std::size_t rows, std::size_t columns) noexcept;
void row_exponentials(float* values, double* sums, const float* shift, std::size_t rows, std::size_t columns) noexcept;
void row_exponentials(double* values, double* sums, const double* shift, std::size_t rows,
                      std::size_t columns) noexcept;
void scale_rows(float* values, const double* factors, std::size_t rows, std::size_t columns) noexcept;
void scale_rows(double* values, const double* factors, std::size_t rows, std::size_t columns) noexcept;
}  // namespace trireme::kernels::avx2
