// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "kernels/pooled_relu/pooled_relu.hpp"

#include <cstddef>

// A 3 x 3 convolution of images with one channel, followed by pooled_relu: too few products per pixel for a matrix product.
// T is float or double.
namespace trireme::kernels {

/// Shape: images at least 2 x 2; the outputs images x height/2 x width/2 x outputs, outputs innermost. `padded` is room for
///        (height + 2) (width + 2) elements, overwritten.
struct PlaneShape {
  std::size_t images = 0;
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t outputs = 0;

  std::size_t padded() const { return (height + 2) * (width + 2); }
  std::size_t image_outputs() const { return (height / 2) * (width / 2) * outputs; }
};

/// y and places = pooled_relu of z[n, i, j, o] = sum over ky, kx of w[o, ky, kx] x[n, i + ky - 1, j + kx - 1], 0 outside the
/// image.
/// Order: from +0, by ascending ky, then kx; products are rounded.
template <class T>
void plane_convolution(T* y, PoolPlace* places, const T* x, const T* weight, const T* bias, const PlaneShape& shape,
                       T* padded, Isa isa = best_isa()) noexcept;

/// weights[n, o, ky, kx] and biases[n, o] = the derivatives by w[o, ky, kx] and b[o] that image n adds, of what has the
/// derivative dy by y.
/// Order: from +0, by ascending window, then place in it; the other places of a window add products with 0 to weights.
template <class T>
void plane_gradients(T* weights, T* biases, const T* x, const T* dy, const PoolPlace* places, const PlaneShape& shape,
                     T* padded, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
