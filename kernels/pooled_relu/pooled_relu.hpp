// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "kernels/pooling/pooling.hpp"

#include <cstddef>
#include <cstdint>

// Bias, ReLU and the greatest of 2 x 2 pixels in one pass. T is float or double; images are dense, channels innermost (NHWC).
namespace trireme::kernels {

/// Which of a window's four elements, row by row, the output comes from; `nowhere` where ReLU lets no derivative through.
using PoolPlace = std::uint8_t;
inline constexpr PoolPlace nowhere = 4;

/// y[n, i, j, c] = max(b[c] + the greatest of x[n, 2i .. 2i+1, 2j .. 2j+1, c], 0), a NaN stays; its place is the first
/// greatest's (a NaN is greater than numbers, a later one than an earlier), `nowhere` unless y > 0.
/// Shape: y and places images x height/2 x width/2 x channels, apart from x.
template <class T>
void pooled_relu(T* y, PoolPlace* places, const T* x, const T* bias, const PoolShape& shape,
                 Isa isa = best_isa()) noexcept;

/// dy = 0 where the place is `nowhere`.
template <class T>
void pooled_relu_mask(T* dy, const PoolPlace* places, std::size_t count, Isa isa = best_isa()) noexcept;

/// dx = dy at the place of each window, 0 elsewhere.
/// Shape: dx as x of pooled_relu, apart from dy.
template <class T>
void pooled_relu_backward(T* dx, const T* dy, const PoolPlace* places, const PoolShape& shape,
                          Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
