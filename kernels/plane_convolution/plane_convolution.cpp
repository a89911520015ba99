// SPDX-License-Identifier: Apache-2.0
#include "kernels/plane_convolution/plane_convolution.hpp"

#include "kernels/plane_convolution/simd.hpp"

namespace trireme::kernels {

template <class T>
void plane_convolution(T* y, PoolPlace* places, const T* x, const T* weight, const T* bias, const PlaneShape& shape,
                       T* padded, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::plane_convolution(y, places, x, weight, bias, shape, padded)
                   : portable::plane_convolution(y, places, x, weight, bias, shape, padded);
}

template <class T>
void plane_gradients(T* weights, T* biases, const T* x, const T* dy, const PoolPlace* places, const PlaneShape& shape,
                     T* padded, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::plane_gradients(weights, biases, x, dy, places, shape, padded)
                   : portable::plane_gradients(weights, biases, x, dy, places, shape, padded);
}

template void plane_convolution(float*, PoolPlace*, const float*, const float*, const float*, const PlaneShape&, float*,
                                Isa) noexcept;
template void plane_convolution(double*, PoolPlace*, const double*, const double*, const double*, const PlaneShape&,
                                double*, Isa) noexcept;
template void plane_gradients(float*, float*, const float*, const float*, const PoolPlace*, const PlaneShape&, float*,
                              Isa) noexcept;
template void plane_gradients(double*, double*, const double*, const double*, const PoolPlace*, const PlaneShape&,
                              double*, Isa) noexcept;

}  // namespace trireme::kernels
