// SPDX-License-Identifier: Apache-2.0
#include "kernels/patches/reference.hpp"

#include <algorithm>

namespace trireme::kernels::reference {
namespace {

/// Calls visit(element of patches, element of x) for every element of every patch; x is -1 outside the image.
template <class Visit>
void for_each_element(const PatchShape& s, Visit visit) {
  std::ptrdiff_t element = 0;
  const std::ptrdiff_t edge = static_cast<std::ptrdiff_t>(s.kernel / 2);
  for (std::size_t n = 0; n < s.images; ++n) {
    for (std::size_t oy = 0; oy < s.out_height(); ++oy) {
      for (std::size_t ox = 0; ox < s.out_width(); ++ox) {
        for (std::size_t ky = 0; ky < s.kernel; ++ky) {
          for (std::size_t kx = 0; kx < s.kernel; ++kx) {
            const std::ptrdiff_t y = static_cast<std::ptrdiff_t>(oy * s.stride + ky) - edge;
            const std::ptrdiff_t x = static_cast<std::ptrdiff_t>(ox * s.stride + kx) - edge;
            const bool inside = y >= 0 && x >= 0 && y < static_cast<std::ptrdiff_t>(s.height) &&
                                x < static_cast<std::ptrdiff_t>(s.width);
            for (std::size_t c = 0; c < s.channels; ++c, ++element) {
              const std::size_t pixel =
                  (n * s.height + static_cast<std::size_t>(y)) * s.width + static_cast<std::size_t>(x);
              visit(element, inside ? static_cast<std::ptrdiff_t>(pixel * s.channels + c) : -1);
            }
          }
        }
      }
    }
  }
}

}  // namespace

template <class T>
void gather_patches(T* patches, const T* x, const PatchShape& shape) {
  for_each_element(shape, [&](std::ptrdiff_t to, std::ptrdiff_t from) { patches[to] = from < 0 ? T{0} : x[from]; });
}

template <class T>
void scatter_patches(T* x, const T* patches, const PatchShape& shape) {
  std::fill_n(x, shape.images * shape.height * shape.width * shape.channels, T{0});
  for_each_element(shape, [&](std::ptrdiff_t from, std::ptrdiff_t to) {
    if (to >= 0) x[to] += patches[from];
  });
}

template void gather_patches(float*, const float*, const PatchShape&);
template void gather_patches(double*, const double*, const PatchShape&);
template void scatter_patches(float*, const float*, const PatchShape&);
template void scatter_patches(double*, const double*, const PatchShape&);

}  // namespace trireme::kernels::reference
