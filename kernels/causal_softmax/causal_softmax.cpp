// SPDX-License-Identifier: Apache-2.0
#include "kernels/causal_softmax/causal_softmax.hpp"

#include "kernels/causal_softmax/simd.hpp"

namespace trireme::kernels {

template <class T>
void causal_softmax(T* values, std::size_t length, T scale, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::causal_softmax(values, length, scale) : portable::causal_softmax(values, length, scale);
}

template <class T>
void causal_softmax_backward(T* gradient, const T* weights, std::size_t length, T scale, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::causal_softmax_backward(gradient, weights, length, scale)
                   : portable::causal_softmax_backward(gradient, weights, length, scale);
}

template void causal_softmax(float* values, std::size_t length, float scale, Isa) noexcept;
template void causal_softmax(double* values, std::size_t length, double scale, Isa) noexcept;
template void causal_softmax_backward(float* gradient, const float* weights, std::size_t length, float scale,
                                      Isa) noexcept;
template void causal_softmax_backward(double* gradient, const double* weights, std::size_t length, double scale,
                                      Isa) noexcept;

}  // namespace trireme::kernels
