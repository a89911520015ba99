// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/sparse_product/sparse_product.hpp"

namespace trireme::kernels::reference {

// As the functions of sparse_product.hpp, one element after the other; equal in bits.
template <class T>
void sparse_product(T* y, const SparseMatrix& x, const T* w, std::size_t columns);
template <class T>
void sparse_product_backward(T* gradient, const SparseMatrix& x, const T* dy, std::size_t columns);

}  // namespace trireme::kernels::reference
