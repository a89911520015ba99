// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooling/reference.hpp"

#include "kernels/dense/reference.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace trireme::kernels::reference {
namespace {

/// Calls visit(element of y, the four elements of x) for every window and channel.
template <class Visit>
void for_each_window(const PoolShape& s, Visit visit) {
  std::size_t window = 0;
  for (std::size_t n = 0; n < s.images; ++n) {
    for (std::size_t i = 0; i < s.height / 2; ++i) {
      for (std::size_t j = 0; j < s.width / 2; ++j) {
        for (std::size_t c = 0; c < s.channels; ++c, ++window) {
          const auto at = [&](std::size_t dy, std::size_t dx) {
            return ((n * s.height + 2 * i + dy) * s.width + 2 * j + dx) * s.channels + c;
          };
          visit(window, std::array<std::size_t, 4>{at(0, 0), at(0, 1), at(1, 0), at(1, 1)});
        }
      }
    }
  }
}

}  // namespace

template <class T>
void max_pool(T* y, const T* x, const PoolShape& shape) {
  for_each_window(shape, [&](std::size_t window, const std::array<std::size_t, 4>& elements) {
    T greatest = x[elements[0]];
    for (const std::size_t e : elements) {
      if (x[e] > greatest || std::isnan(x[e])) greatest = x[e];
    }
    y[window] = greatest;
  });
}

template <class T>
void max_pool_backward(T* dx, const T* dy, const T* x, const T* y, const PoolShape& shape) {
  std::fill_n(dx, shape.images * shape.height * shape.width * shape.channels, T{0});
  for_each_window(shape, [&](std::size_t window, const std::array<std::size_t, 4>& elements) {
    std::size_t k = 0;
    while (k < 3 && x[elements[k]] != y[window]) ++k;
    dx[elements[k]] = dy[window];
  });
}

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

template void max_pool(float*, const float*, const PoolShape&);
template void max_pool(double*, const double*, const PoolShape&);
template void max_pool_backward(float*, const float*, const float*, const float*, const PoolShape&);
template void max_pool_backward(double*, const double*, const double*, const double*, const PoolShape&);
template void mean_pool(float*, const float*, const PoolShape&);
template void mean_pool(double*, const double*, const PoolShape&);
template void mean_pool_backward(float*, const float*, const PoolShape&);
template void mean_pool_backward(double*, const double*, const PoolShape&);

}  // namespace trireme::kernels::reference
