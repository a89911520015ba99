// SPDX-License-Identifier: Apache-2.0
#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy.hpp"

#include "kernels/vocabulary_cross_entropy/simd.hpp"

namespace trireme::kernels {

template <class T>
void row_maxima(T* greatest, const T* logits, std::size_t rows, std::size_t columns, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::row_maxima(greatest, logits, rows, columns)
                   : portable::row_maxima(greatest, logits, rows, columns);
}

template <class T>
void row_exponentials(T* values, double* sums, const T* shift, std::size_t rows, std::size_t columns,
                      Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::row_exponentials(values, sums, shift, rows, columns)
                   : portable::row_exponentials(values, sums, shift, rows, columns);
}

template <class T>
void scale_rows(T* values, const double* factors, std::size_t rows, std::size_t columns, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::scale_rows(values, factors, rows, columns)
                   : portable::scale_rows(values, factors, rows, columns);
}

template void row_maxima(float* greatest, const float* logits, std::size_t, std::size_t, Isa) noexcept;
template void row_maxima(double* greatest, const double* logits, std::size_t, std::size_t, Isa) noexcept;
template void row_exponentials(float* values, double* sums, const float* shift, std::size_t, std::size_t, Isa) noexcept;
template void row_exponentials(double* values, double* sums, const double* shift, std::size_t, std::size_t,
                               Isa) noexcept;
template void scale_rows(float* values, const double* factors, std::size_t, std::size_t, Isa) noexcept;
template void scale_rows(double* values, const double* factors, std::size_t, std::size_t, Isa) noexcept;

}  // namespace trireme::kernels
