// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch_norm/batch_norm.hpp"

#include "kernels/batch_norm/simd.hpp"

#include <cassert>

namespace trireme::kernels {

template <class T>
void column_moments(double* mean, double* squares, const T* x, std::size_t rows, std::size_t columns,
                    Isa isa) noexcept {
  assert(rows >= 1);
  isa >= Isa::avx2 ? avx2::column_moments(mean, squares, x, rows, columns)
                   : portable::column_moments(mean, squares, x, rows, columns);
}

template <class T>
void normalise(const NormaliseCall<T>& call, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::normalise(call) : portable::normalise(call);
}

template <class T>
void derivative_sums(const DerivativeSumsCall<T>& call, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::derivative_sums(call) : portable::derivative_sums(call);
}

template <class T>
void normalise_backward(const NormaliseBackwardCall<T>& call, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::normalise_backward(call) : portable::normalise_backward(call);
}

template void column_moments(double*, double*, const float*, std::size_t, std::size_t, Isa) noexcept;
template void column_moments(double*, double*, const double*, std::size_t, std::size_t, Isa) noexcept;
template void normalise(const NormaliseCall<float>&, Isa) noexcept;
template void normalise(const NormaliseCall<double>&, Isa) noexcept;
template void derivative_sums(const DerivativeSumsCall<float>&, Isa) noexcept;
template void derivative_sums(const DerivativeSumsCall<double>&, Isa) noexcept;
template void normalise_backward(const NormaliseBackwardCall<float>&, Isa) noexcept;
template void normalise_backward(const NormaliseBackwardCall<double>&, Isa) noexcept;

}  // namespace trireme::kernels
