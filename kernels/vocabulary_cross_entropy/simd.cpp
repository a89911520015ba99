// SPDX-License-Identifier: Apache-2.0
#include "kernels/vocabulary_cross_entropy/simd.hpp"

#include "kernels/dense/exponential_of.hpp"
#include "kernels/lane_sum.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class T>
void row_maxima_loop(T* greatest, const T* logits, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) greatest[r] = greatest_of(logits + r * columns, columns);
}

template <class T>
void row_exponentials_loop(T* values, double* sums, const T* shift, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    const T greatest = shift[r];
    LaneSum sum;
    for (std::size_t begin = 0; begin < columns; begin += chunk) {
      const std::size_t count = columns - begin < chunk ? columns - begin : chunk;
      T* e = values + r * columns + begin;
      TRIREME_KERNELS_INDEPENDENT
      for (std::size_t j = 0; j < count; ++j) e[j] = ExponentialOf<T>::of(e[j] - greatest);
      sum.add(count, [e](std::size_t j) { return e[j]; });
    }
    sums[r] = sum.result();
  }
}

template <class T>
void scale_rows_loop(T* values, const double* factors, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    T* row = values + r * columns;
    const auto factor = static_cast<T>(factors[r]);
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t j = 0; j < columns; ++j) row[j] = row[j] * factor;
  }
}

}  // namespace

void row_maxima(float* greatest, const float* logits, std::size_t rows, std::size_t columns) noexcept {
  row_maxima_loop(greatest, logits, rows, columns);
}
void row_maxima(double* greatest, const double* logits, std::size_t rows, std::size_t columns) noexcept {
  row_maxima_loop(greatest, logits, rows, columns);
}
void row_exponentials(float* values, double* sums, const float* shift, std::size_t rows, std::size_t columns) noexcept {
  row_exponentials_loop(values, sums, shift, rows, columns);
}
void row_exponentials(double* values, double* sums, const double* shift, std::size_t rows,
                      std::size_t columns) noexcept {
  row_exponentials_loop(values, sums, shift, rows, columns);
}
void scale_rows(float* values, const double* factors, std::size_t rows, std::size_t columns) noexcept {
  scale_rows_loop(values, factors, rows, columns);
}
void scale_rows(double* values, const double* factors, std::size_t rows, std::size_t columns) noexcept {
  scale_rows_loop(values, factors, rows, columns);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
