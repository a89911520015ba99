// SPDX-License-Identifier: Apache-2.0
#include "kernels/sparse_product/reference.hpp"

namespace trireme::kernels::reference {

template <class T>
void sparse_product(T* y, const SparseMatrix& x, const T* w, std::size_t columns) {
  for (std::size_t e = 0; e < x.rows * columns; ++e) {
    const std::size_t i = e / columns, c = e % columns;
    y[e] = 0;
    for (std::size_t k = x.offsets[i]; k < x.offsets[i + 1]; ++k) {
      y[e] += static_cast<T>(x.values[k]) * w[x.indices[k] * columns + c];
    }
  }
}

template <class T>
void sparse_product_backward(T* gradient, const SparseMatrix& x, const T* dy, std::size_t columns) {
  for (std::size_t e = 0; e < x.rows * columns; ++e) {
    const std::size_t i = e / columns, c = e % columns;
    for (std::size_t k = x.offsets[i]; k < x.offsets[i + 1]; ++k) {
      gradient[x.indices[k] * columns + c] += static_cast<T>(x.values[k]) * dy[e];
    }
  }
}

template void sparse_product(float* y, const SparseMatrix& x, const float* w, std::size_t columns);
template void sparse_product(double* y, const SparseMatrix& x, const double* w, std::size_t columns);
template void sparse_product_backward(float* gradient, const SparseMatrix& x, const float* dy, std::size_t columns);
template void sparse_product_backward(double* gradient, const SparseMatrix& x, const double* dy, std::size_t columns);

}  // namespace trireme::kernels::reference
