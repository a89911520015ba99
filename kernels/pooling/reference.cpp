// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooling/reference.hpp"

#include "kernels/dense/reference.hpp"

namespace trireme::kernels::reference {

template <class T>
void mean_pool(T* y, const T* x, const PoolShape& shape) {
  const std::size_t pixels = shape.height * shape.width;
  for (std::size_t n = 0; n < shape.images; ++n) {
    column_sum(y + n * shape.channels, x + n * pixels * shape.channels, pixels, shape.channels);
  }
  for (std::size_t i = 0; i < shape.images * shape.channels; ++i) y[i] /= static_cast<T>(pixels);
}

template <class T>
void mean_pool_backward(T* dx, const T* dy, const PoolShape& shape) {
  const std::size_t pixels = shape.height * shape.width;
  for (std::size_t i = 0; i < shape.images * pixels * shape.channels; ++i) {
    const std::size_t image = i / (pixels * shape.channels);
    dx[i] = dy[image * shape.channels + i % shape.channels] / static_cast<T>(pixels);
  }
}

template void mean_pool(float*, const float*, const PoolShape&);
template void mean_pool(double*, const double*, const PoolShape&);
template void mean_pool_backward(float*, const float*, const PoolShape&);
template void mean_pool_backward(double*, const double*, const PoolShape&);

}  // namespace trireme::kernels::reference
