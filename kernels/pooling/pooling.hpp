// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>

// T is float or double; images are dense, channels innermost (NHWC).
namespace trireme::kernels {

/// Windows of 2 x 2 pixels side by side. An odd last row or column belongs to none.
struct PoolShape {
  std::size_t images = 0;
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 0;
};

/// y[n, i, j, c] = the greatest of x[n, 2i .. 2i+1, 2j .. 2j+1, c]; a NaN stays.
/// Shape: y images x height/2 x width/2 x channels, apart from x.
template <class T>
void max_pool(T* y, const T* x, const PoolShape& shape, Isa isa = best_isa()) noexcept;

/// dx = dy at the first of each window's elements (row by row) that equals y, the last where none does (NaN); 0 elsewhere.
template <class T>
void max_pool_backward(T* dx, const T* dy, const T* x, const T* y, const PoolShape& shape,
                       Isa isa = best_isa()) noexcept;

/// y[n, c] = (sum over the pixels p of x[n, p, c]) / pixels.
/// Order: the balanced tree over pixels, in T; then the division.
template <class T>
void mean_pool(T* y, const T* x, const PoolShape& shape, Isa isa = best_isa()) noexcept;

/// dx[n, p, c] = dy[n, c] / pixels.
template <class T>
void mean_pool_backward(T* dx, const T* dy, const PoolShape& shape, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
