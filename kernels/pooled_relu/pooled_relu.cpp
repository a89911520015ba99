// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooled_relu/pooled_relu.hpp"

#include "kernels/pooled_relu/simd.hpp"

namespace trireme::kernels {

template <class T>
void pooled_relu(T* y, PoolPlace* places, const T* x, const T* bias, const PoolShape& shape, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::pooled_relu(y, places, x, bias, shape) : portable::pooled_relu(y, places, x, bias, shape);
}

template <class T>
void pooled_relu_mask(T* dy, const PoolPlace* places, std::size_t count, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::pooled_relu_mask(dy, places, count) : portable::pooled_relu_mask(dy, places, count);
}

template <class T>
void pooled_relu_backward(T* dx, const T* dy, const PoolPlace* places, const PoolShape& shape, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::pooled_relu_backward(dx, dy, places, shape)
                   : portable::pooled_relu_backward(dx, dy, places, shape);
}

template void pooled_relu(float*, PoolPlace*, const float*, const float*, const PoolShape&, Isa) noexcept;
template void pooled_relu(double*, PoolPlace*, const double*, const double*, const PoolShape&, Isa) noexcept;
template void pooled_relu_mask(float*, const PoolPlace*, std::size_t, Isa) noexcept;
template void pooled_relu_mask(double*, const PoolPlace*, std::size_t, Isa) noexcept;
template void pooled_relu_backward(float*, const float*, const PoolPlace*, const PoolShape&, Isa) noexcept;
template void pooled_relu_backward(double*, const double*, const PoolPlace*, const PoolShape&, Isa) noexcept;

}  // namespace trireme::kernels
