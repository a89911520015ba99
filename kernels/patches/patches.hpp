// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>

// What turns a convolution into a matrix product. T is float or double; images are dense, channels innermost (NHWC).
namespace trireme::kernels {

/// The windows of kernel x kernel pixels that a convolution looks at, `stride` apart, over images that are surrounded by
/// kernel / 2 pixels of zeros.
/// Shape: kernel odd, stride at least 1.
struct PatchShape {
  std::size_t images = 0;
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 0;
  std::size_t kernel = 3;
  std::size_t stride = 1;

  std::size_t out_height() const { return (height - 1) / stride + 1; }
  std::size_t out_width() const { return (width - 1) / stride + 1; }
  std::size_t patches() const { return images * out_height() * out_width(); }
  std::size_t patch() const { return kernel * kernel * channels; }
};

/// patches[n, oy, ox][ky, kx, c] = x[n, oy stride + ky - kernel/2, ox stride + kx - kernel/2, c], 0 outside the image.
/// Shape: patches patches() x patch(), apart from x.
template <class T>
void gather_patches(T* patches, const T* x, const PatchShape& shape, Isa isa = best_isa()) noexcept;

/// The transpose of gather_patches: x[n, y, x, c] = the sum of the elements of `patches` that gather_patches would have
/// read there.
/// Order: from +0, by ascending place of the patch.
template <class T>
void scatter_patches(T* x, const T* patches, const PatchShape& shape, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
