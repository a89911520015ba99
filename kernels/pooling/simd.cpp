// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooling/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

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

void mean_pool_backward(float* dx, const float* dy, const PoolShape& shape) noexcept { spread(dx, dy, shape); }
void mean_pool_backward(double* dx, const double* dy, const PoolShape& shape) noexcept { spread(dx, dy, shape); }

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
