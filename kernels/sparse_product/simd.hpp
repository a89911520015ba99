// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/sparse_product/sparse_product.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void sparse_product(float* y, const SparseMatrix& x, const float* w, std::size_t columns) noexcept;
void sparse_product_backward(float* gradient, const SparseMatrix& x, const float* dy, std::size_t columns) noexcept;
void sparse_product(double* y, const SparseMatrix& x, const double* w, std::size_t columns) noexcept;
void sparse_product_backward(double* gradient, const SparseMatrix& x, const double* dy, std::size_t columns) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void sparse_product(float* y, const SparseMatrix& x, const float* w, std::size_t columns) noexcept;
void sparse_product_backward(float* gradient, const SparseMatrix& x, const float* dy, std::size_t columns) noexcept;
void sparse_product(double* y, const SparseMatrix& x, const double* w, std::size_t columns) noexcept;
void sparse_product_backward(double* gradient, const SparseMatrix& x, const double* dy, std::size_t columns) noexcept;
}  // namespace trireme::kernels::avx2
