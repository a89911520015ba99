// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooling/pooling.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/pooling/simd.hpp"

namespace trireme::kernels {

template <class T>
void mean_pool(T* y, const T* x, const PoolShape& shape, Isa isa) noexcept {
  const std::size_t pixels = shape.height * shape.width;
  for (std::size_t n = 0; n < shape.images; ++n) {
    column_sum(y + n * shape.channels, x + n * pixels * shape.channels, pixels, shape.channels, isa);
  }
  for (std::size_t i = 0; i < shape.images * shape.channels; ++i) y[i] = y[i] / static_cast<T>(pixels);
}

template <class T>
void mean_pool_backward(T* dx, const T* dy, const PoolShape& shape, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::mean_pool_backward(dx, dy, shape) : portable::mean_pool_backward(dx, dy, shape);
}

template void mean_pool(float*, const float*, const PoolShape&, Isa) noexcept;
template void mean_pool(double*, const double*, const PoolShape&, Isa) noexcept;
template void mean_pool_backward(float*, const float*, const PoolShape&, Isa) noexcept;
template void mean_pool_backward(double*, const double*, const PoolShape&, Isa) noexcept;

}  // namespace trireme::kernels
