// SPDX-License-Identifier: Apache-2.0
#include "kernels/sparse_product/sparse_product.hpp"

#include "kernels/sparse_product/simd.hpp"

namespace trireme::kernels {

template <class T>
void sparse_product(T* y, const SparseMatrix& x, const T* w, std::size_t columns, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::sparse_product(y, x, w, columns) : portable::sparse_product(y, x, w, columns);
}

template <class T>
void sparse_product_backward(T* gradient, const SparseMatrix& x, const T* dy, std::size_t columns, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::sparse_product_backward(gradient, x, dy, columns)
                   : portable::sparse_product_backward(gradient, x, dy, columns);
}

template void sparse_product(float* y, const SparseMatrix& x, const float* w, std::size_t columns, Isa) noexcept;
template void sparse_product(double* y, const SparseMatrix& x, const double* w, std::size_t columns, Isa) noexcept;
template void sparse_product_backward(float* gradient, const SparseMatrix& x, const float* dy, std::size_t columns,
                                      Isa) noexcept;
template void sparse_product_backward(double* gradient, const SparseMatrix& x, const double* dy, std::size_t columns,
                                      Isa) noexcept;

}  // namespace trireme::kernels
