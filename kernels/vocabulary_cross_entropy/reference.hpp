// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace trireme::kernels::reference {

// As vocabulary_cross_entropy.hpp with exp of the C library in f64; exponentials and sums equal to a few units in the last place.
template <class T>
void row_maxima(T* greatest, const T* logits, std::size_t rows, std::size_t columns);
template <class T>
void row_exponentials(T* values, double* sums, const T* shift, std::size_t rows, std::size_t columns);
template <class T>
void scale_rows(T* values, const double* factors, std::size_t rows, std::size_t columns);

}  // namespace trireme::kernels::reference
