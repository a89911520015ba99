// SPDX-License-Identifier: Apache-2.0
#include "kernels/vocabulary_cross_entropy/reference.hpp"

#include <cmath>
#include <limits>

namespace trireme::kernels::reference {

template <class T>
void row_maxima(T* greatest, const T* logits, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    greatest[r] = -std::numeric_limits<T>::infinity();
    for (std::size_t j = 0; j < columns; ++j)
      if (logits[r * columns + j] > greatest[r]) greatest[r] = logits[r * columns + j];
  }
}

template <class T>
void row_exponentials(T* values, double* sums, const T* shift, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    long double sum = 0;
    for (std::size_t j = 0; j < columns; ++j) {
      T& value = values[r * columns + j];
      value = static_cast<T>(std::exp(static_cast<double>(value) - static_cast<double>(shift[r])));
      sum += value;
    }
    sums[r] = static_cast<double>(sum);
  }
}

template <class T>
void scale_rows(T* values, const double* factors, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t j = 0; j < columns; ++j) values[r * columns + j] *= static_cast<T>(factors[r]);
}

template void row_maxima(float*, const float*, std::size_t, std::size_t);
template void row_maxima(double*, const double*, std::size_t, std::size_t);
template void row_exponentials(float*, double*, const float*, std::size_t, std::size_t);
template void row_exponentials(double*, double*, const double*, std::size_t, std::size_t);
template void scale_rows(float*, const double*, std::size_t, std::size_t);
template void scale_rows(double*, const double*, std::size_t, std::size_t);

}  // namespace trireme::kernels::reference
