// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>

// Cross entropy of logits of which somebody else has the other columns: what can be said of `columns` of them, between which the
// ranks exchange a number per row. T is float or double; matrices are row-major and dense; any number of columns, none included.
namespace trireme::kernels {

/// greatest[r] = the greatest of row r, NaN left out; -infinity of no columns.
template <class T>
void row_maxima(T* greatest, const T* logits, std::size_t rows, std::size_t columns, Isa isa = best_isa()) noexcept;

/// values[r][j] = exp(values[r][j] - shift[r]); sums[r] = their sum.
/// Shape: shift[r] at least the greatest of the row.
/// Order: exp in T; sums in f64 by the eight lanes of norm.hpp. The same bits on every Isa.
template <class T>
void row_exponentials(T* values, double* sums, const T* shift, std::size_t rows, std::size_t columns,
                      Isa isa = best_isa()) noexcept;

/// values[r][j] = values[r][j] T(factors[r]).
template <class T>
void scale_rows(T* values, const double* factors, std::size_t rows, std::size_t columns, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
