// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>
#include <cstdint>

// Products of a sparse matrix and dense ones. T is float or double; dense matrices are row-major.
namespace trireme::kernels {

/// A matrix most of whose elements are 0, as compressed rows (CSR): row i has values[k] in column indices[k] for k from
/// offsets[i] to offsets[i+1]-1.
struct SparseMatrix {
  const std::uint64_t* offsets = nullptr;  ///< rows + 1; the first need not be 0
  const std::uint32_t* indices = nullptr;
  const float* values = nullptr;
  std::size_t rows = 0;
};

/// y = x w: y[i] = the sum over the stored k of row i of values[k] w[indices[k]], rows of `columns` elements; zeros where
/// nothing is stored.
/// Shape: y x.rows x columns, apart from w; every index a row of w.
/// Order: from +0, k ascending, product and sum each rounded to T. The same bits on every Isa.
template <class T>
void sparse_product(T* y, const SparseMatrix& x, const T* w, std::size_t columns, Isa isa = best_isa()) noexcept;

/// gradient[indices[k]] += values[k] dy[i], rows of `columns` elements, for i ascending and k within: x^T dy, added.
/// Shape: dy x.rows x columns; gradient apart from dy. Rows of the gradient that no index names are not touched.
/// Order: as stated, product and sum each rounded to T. The same bits on every Isa.
template <class T>
void sparse_product_backward(T* gradient, const SparseMatrix& x, const T* dy, std::size_t columns,
                             Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
