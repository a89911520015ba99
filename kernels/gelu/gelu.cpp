// SPDX-License-Identifier: Apache-2.0
#include "kernels/gelu/gelu.hpp"

#include "kernels/gelu/simd.hpp"

namespace trireme::kernels {

template <class T>
void add_bias_gelu(T* activations, T* values, const T* bias, std::size_t rows, std::size_t columns, Isa isa) noexcept {
  switch (isa) {
    case Isa::avx512: return avx512::add_bias_gelu(activations, values, bias, rows, columns);
    case Isa::avx2: return avx2::add_bias_gelu(activations, values, bias, rows, columns);
    case Isa::portable: return portable::add_bias_gelu(activations, values, bias, rows, columns);
  }
}

template <class T>
void gelu_backward(T* dx, const T* dy, const T* values, std::size_t count, Isa isa) noexcept {
  switch (isa) {
    case Isa::avx512: return avx512::gelu_backward(dx, dy, values, count);
    case Isa::avx2: return avx2::gelu_backward(dx, dy, values, count);
    case Isa::portable: return portable::gelu_backward(dx, dy, values, count);
  }
}

template void add_bias_gelu(float* activations, float* values, const float* bias, std::size_t rows, std::size_t columns,
                            Isa) noexcept;
template void add_bias_gelu(double* activations, double* values, const double* bias, std::size_t rows,
                            std::size_t columns, Isa) noexcept;
template void gelu_backward(float* dx, const float* dy, const float* values, std::size_t count, Isa) noexcept;
template void gelu_backward(double* dx, const double* dy, const double* values, std::size_t count, Isa) noexcept;

}  // namespace trireme::kernels
