// SPDX-License-Identifier: Apache-2.0
#include "kernels/sparse_product/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// What is stored in one row of a SparseMatrix.
struct StoredRow {
  const std::uint32_t* indices;
  const float* values;
  std::size_t count;
};

StoredRow row_of(const SparseMatrix& x, std::size_t i) {
  return {x.indices + x.offsets[i], x.values + x.offsets[i], x.offsets[i + 1] - x.offsets[i]};
}

/// `width` columns of one row of the product, from column 0 of y and w: a width that is known keeps the sums in registers.
template <std::size_t width, class T>
void product_columns(T* y, StoredRow row, const T* w, std::size_t columns) {
  T sums[width];
  for (std::size_t c = 0; c < width; ++c) sums[c] = T{0};
  for (std::size_t k = 0; k < row.count; ++k) {
    const T* from = w + row.indices[k] * columns;
    const auto value = static_cast<T>(row.values[k]);
    for (std::size_t c = 0; c < width; ++c) sums[c] = sums[c] + value * from[c];
  }
  for (std::size_t c = 0; c < width; ++c) y[c] = sums[c];
}

/// The columns from `first` on, by strips of `width`, then of half of it, down to single ones.
template <std::size_t width, class T>
void product_strips(T* y, StoredRow row, const T* w, std::size_t columns, std::size_t first) {
  for (; first + width <= columns; first += width) product_columns<width>(y + first, row, w + first, columns);
  if constexpr (width > 1) product_strips<width / 2>(y, row, w, columns, first);
}

template <class T>
void product_loop(T* y, const SparseMatrix& x, const T* w, std::size_t columns) {
  for (std::size_t i = 0; i < x.rows; ++i) {
    product_strips<64 / sizeof(T)>(y + i * columns, row_of(x, i), w, columns, 0);
  }
}

template <class T>
void backward_loop(T* gradient, const SparseMatrix& x, const T* dy, std::size_t columns) {
  for (std::size_t i = 0; i < x.rows; ++i) {
    const StoredRow row = row_of(x, i);
    const T* from = dy + i * columns;
    for (std::size_t k = 0; k < row.count; ++k) {
      T* to = gradient + row.indices[k] * columns;
      const auto value = static_cast<T>(row.values[k]);
      TRIREME_KERNELS_INDEPENDENT
      for (std::size_t c = 0; c < columns; ++c) to[c] = to[c] + value * from[c];
    }
  }
}

}  // namespace

void sparse_product(float* y, const SparseMatrix& x, const float* w, std::size_t columns) noexcept {
  product_loop(y, x, w, columns);
}
void sparse_product_backward(float* gradient, const SparseMatrix& x, const float* dy, std::size_t columns) noexcept {
  backward_loop(gradient, x, dy, columns);
}
void sparse_product(double* y, const SparseMatrix& x, const double* w, std::size_t columns) noexcept {
  product_loop(y, x, w, columns);
}
void sparse_product_backward(double* gradient, const SparseMatrix& x, const double* dy, std::size_t columns) noexcept {
  backward_loop(gradient, x, dy, columns);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
