// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooling/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class T>
T greater(T a, T b) {
  return (b > a) | (b != b) ? b : a;
}

template <class T>
void pool(T* y, const T* x, const PoolShape& s) {
  const std::size_t channels = s.channels;
  const std::size_t row = s.width * channels;
  for (std::size_t n = 0; n < s.images; ++n) {
    for (std::size_t i = 0; i < s.height / 2; ++i) {
      for (std::size_t j = 0; j < s.width / 2; ++j, y += channels) {
        const T* upper = x + (n * s.height + 2 * i) * row + 2 * j * channels;
        const T* lower = upper + row;
        TRIREME_KERNELS_INDEPENDENT
        for (std::size_t c = 0; c < channels; ++c) {
          T top = greater(upper[c], upper[channels + c]);
          y[c] = greater(greater(top, lower[c]), lower[channels + c]);
        }
      }
    }
  }
}

template <class T>
void pool_backward(T* dx, const T* dy, const T* x, const T* y, const PoolShape& s) {
  const std::size_t channels = s.channels;
  const std::size_t row = s.width * channels;
  if (s.height % 2 != 0 || s.width % 2 != 0) {
    const std::size_t count = s.images * s.height * row;
    for (std::size_t i = 0; i < count; ++i) dx[i] = T{0};
  }
  for (std::size_t n = 0; n < s.images; ++n) {
    for (std::size_t i = 0; i < s.height / 2; ++i) {
      for (std::size_t j = 0; j < s.width / 2; ++j, y += channels, dy += channels) {
        const std::size_t at = (n * s.height + 2 * i) * row + 2 * j * channels;
        const T* upper = x + at;
        const T* lower = upper + row;
        T* upper_dx = dx + at;
        T* lower_dx = upper_dx + row;
        TRIREME_KERNELS_INDEPENDENT
        for (std::size_t c = 0; c < channels; ++c) {
          const bool first = upper[c] == y[c];
          const bool second = !first & (upper[channels + c] == y[c]);
          const bool third = !first & !second & (lower[c] == y[c]);
          const bool fourth = !first & !second & !third;
          upper_dx[c] = first ? dy[c] : T{0};
          upper_dx[channels + c] = second ? dy[c] : T{0};
          lower_dx[c] = third ? dy[c] : T{0};
          lower_dx[channels + c] = fourth ? dy[c] : T{0};
        }
      }
    }
  }
}

template <class T>
void spread(T* dx, const T* dy, const PoolShape& s) {
  const std::size_t pixels = s.height * s.width;
  const std::size_t channels = s.channels;
  const T divisor = static_cast<T>(pixels);
  for (std::size_t n = 0; n < s.images; ++n, dy += channels) {
    for (std::size_t p = 0; p < pixels; ++p, dx += channels) {
      TRIREME_KERNELS_INDEPENDENT
      for (std::size_t c = 0; c < channels; ++c) dx[c] = dy[c] / divisor;
    }
  }
}

}  // namespace

void max_pool(float* y, const float* x, const PoolShape& shape) noexcept { pool(y, x, shape); }
void max_pool_backward(float* dx, const float* dy, const float* x, const float* y, const PoolShape& shape) noexcept {
  pool_backward(dx, dy, x, y, shape);
}
void mean_pool_backward(float* dx, const float* dy, const PoolShape& shape) noexcept { spread(dx, dy, shape); }
void max_pool(double* y, const double* x, const PoolShape& shape) noexcept { pool(y, x, shape); }
void max_pool_backward(double* dx, const double* dy, const double* x, const double* y,
                       const PoolShape& shape) noexcept {
  pool_backward(dx, dy, x, y, shape);
}
void mean_pool_backward(double* dx, const double* dy, const PoolShape& shape) noexcept { spread(dx, dy, shape); }

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
