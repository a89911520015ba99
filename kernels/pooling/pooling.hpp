// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>

// T is float or double; images are dense, channels innermost (NHWC).
namespace trireme::kernels {

/// What is pooled: whole images, or windows of 2 x 2 pixels side by side, an odd last row or column belonging to none.
struct PoolShape {
  std::size_t images = 0;
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 0;
};

/// y[n, c] = (sum over the pixels p of x[n, p, c]) / pixels.
/// Order: the balanced tree over pixels, in T; then the division.
template <class T>
void mean_pool(T* y, const T* x, const PoolShape& shape, Isa isa = best_isa()) noexcept;

/// dx[n, p, c] = dy[n, c] / pixels.
template <class T>
void mean_pool_backward(T* dx, const T* dy, const PoolShape& shape, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
