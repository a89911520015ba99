// SPDX-License-Identifier: Apache-2.0
#include "kernels/plane_convolution/simd.hpp"

#include "kernels/lanes.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

constexpr std::size_t taps = 9;

/// A frame of zeros around an image.
template <class T>
void pad(T* padded, const T* image, const PlaneShape& s) {
  const std::size_t row = s.width + 2;
  for (std::size_t i = 0; i < row; ++i) padded[i] = padded[(s.height + 1) * row + i] = T{0};
  for (std::size_t y = 0; y < s.height; ++y) {
    T* to = padded + (y + 1) * row;
    to[0] = to[row - 1] = T{0};
    for (std::size_t x = 0; x < s.width; ++x) to[x + 1] = image[y * s.width + x];
  }
}

/// The 4 x 4 pixels that the four places of a window look at, one register of equal lanes each: visit(place, tap, pixel) for
/// every product of one place's tap, by ascending pixel; so both the taps of a place and the places of a tap ascend.
template <class T, class Visit>
void for_each_product(const T* corner, std::size_t row, Visit visit) {
  const T* rows[4] = {corner, corner + row, corner + 2 * row, corner + 3 * row};
#pragma GCC unroll 4
  for (std::size_t y = 0; y < 4; ++y) {
#pragma GCC unroll 4
    for (std::size_t x = 0; x < 4; ++x) {
      const T pixel = rows[y][x];
#pragma GCC unroll 4
      for (std::size_t place = 0; place < 4; ++place) {
        const std::size_t ky = y - place / 2;  // wraps where it is negative
        const std::size_t kx = x - place % 2;
        if (ky < 3 && kx < 3) visit(place, 3 * ky + kx, pixel);
      }
    }
  }
}

/// For the outputs that fit one register, of which `width` exist.
template <class T>
void convolve_strip(T* y, PoolPlace* places, const T* padded, const T* weight, const T* bias, std::size_t width,
                    const PlaneShape& s) {
  using L = Lanes<T>;
  using Values = typename L::Values;
  using Masks = typename L::Masks;
  const std::size_t row = s.width + 2;
  const std::size_t outputs = s.outputs;
  Values weights[taps] = {};
  Values own_bias = {};
  for (std::size_t lane = 0; lane < width; ++lane) {
    for (std::size_t t = 0; t < taps; ++t) weights[t][lane] = weight[taps * lane + t];
    own_bias[lane] = bias[lane];
  }
  for (std::size_t i = 0; i < s.height / 2; ++i) {
    for (std::size_t j = 0; j < s.width / 2; ++j, y += outputs, places += outputs) {
      Values sums[4] = {};
      for_each_product(padded + 2 * i * row + 2 * j, row, [&](std::size_t place, std::size_t tap, T pixel) {
        sums[place] = sums[place] + weights[tap] * pixel;
      });
      Values greatest = sums[0];
      Masks place = {};
#pragma GCC unroll 3
      for (int q = 1; q < 4; ++q) {
        const Masks wins = (Masks)(sums[q] > greatest) | (Masks)(sums[q] != sums[q]);
        greatest = (Values)((wins & (Masks)sums[q]) | (~wins & (Masks)greatest));
        place = (wins & q) | (~wins & place);
      }
      greatest = greatest + own_bias;
      const Masks passes = (Masks)(greatest > T{0});
      const Masks cut = (Masks)(greatest < T{0});
      place = (passes & place) | (~passes & static_cast<int>(nowhere));
      greatest = (Values)(~cut & (Masks)greatest);
      if (width == L::count) {
        *reinterpret_cast<typename L::AnyValues*>(y) = greatest;
        L::store_bytes(places, place);
        continue;
      }
      for (std::size_t lane = 0; lane < width; ++lane) {
        y[lane] = greatest[lane];
        places[lane] = static_cast<PoolPlace>(place[lane]);
      }
    }
  }
}

template <class T>
void differentiate_strip(T* weights, T* biases, const T* padded, const T* dy, const PoolPlace* places,
                         std::size_t width, const PlaneShape& s) {
  using L = Lanes<T>;
  using Values = typename L::Values;
  using Masks = typename L::Masks;
  const std::size_t row = s.width + 2;
  const std::size_t outputs = s.outputs;
  Values sums[taps] = {};
  Values bias_sum = {};
  for (std::size_t i = 0; i < s.height / 2; ++i) {
    for (std::size_t j = 0; j < s.width / 2; ++j, dy += outputs, places += outputs) {
      Values derivative = {};
      Masks own = {};
      if (width == L::count) {
        derivative = *reinterpret_cast<const typename L::AnyValues*>(dy);
        L::load_bytes(own, places);
      } else {
        for (std::size_t lane = 0; lane < width; ++lane) {
          derivative[lane] = dy[lane];
          own[lane] = places[lane];
        }
      }
      bias_sum = bias_sum + (Values)((Masks)(own != static_cast<int>(nowhere)) & (Masks)derivative);
      Values at[4];
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) at[q] = (Values)((Masks)(own == q) & (Masks)derivative);
      for_each_product(padded + 2 * i * row + 2 * j, row,
                       [&](std::size_t place, std::size_t tap, T pixel) { sums[tap] = sums[tap] + at[place] * pixel; });
    }
  }
  for (std::size_t lane = 0; lane < width; ++lane) {
    for (std::size_t t = 0; t < taps; ++t) weights[taps * lane + t] = sums[t][lane];
    biases[lane] = bias_sum[lane];
  }
}

/// Calls visit(image, first output, outputs) for every strip of every image, whose pixels are in `padded` then.
template <class T, class Visit>
void for_each_strip(const T* x, const PlaneShape& s, T* padded, Visit visit) {
  constexpr std::size_t lanes = Lanes<T>::count;
  for (std::size_t n = 0; n < s.images; ++n) {
    pad(padded, x + n * s.height * s.width, s);
    for (std::size_t first = 0; first < s.outputs; first += lanes) {
      visit(n, first, s.outputs - first < lanes ? s.outputs - first : lanes);
    }
  }
}

template <class T>
void plane_convolution_of(T* y, PoolPlace* places, const T* x, const T* weight, const T* bias, const PlaneShape& s,
                          T* padded) {
  const std::size_t image = (s.height / 2) * (s.width / 2) * s.outputs;
  for_each_strip(x, s, padded, [&](std::size_t n, std::size_t first, std::size_t width) {
    convolve_strip(y + n * image + first, places + n * image + first, padded, weight + taps * first, bias + first,
                   width, s);
  });
}

template <class T>
void plane_gradients_of(T* weights, T* biases, const T* x, const T* dy, const PoolPlace* places, const PlaneShape& s,
                        T* padded) {
  const std::size_t image = (s.height / 2) * (s.width / 2) * s.outputs;
  for_each_strip(x, s, padded, [&](std::size_t n, std::size_t first, std::size_t width) {
    differentiate_strip(weights + (n * s.outputs + first) * taps, biases + n * s.outputs + first, padded,
                        dy + n * image + first, places + n * image + first, width, s);
  });
}

}  // namespace

void plane_convolution(float* y, PoolPlace* places, const float* x, const float* weight, const float* bias,
                       const PlaneShape& shape, float* padded) noexcept {
  plane_convolution_of(y, places, x, weight, bias, shape, padded);
}
void plane_gradients(float* weights, float* biases, const float* x, const float* dy, const PoolPlace* places,
                     const PlaneShape& shape, float* padded) noexcept {
  plane_gradients_of(weights, biases, x, dy, places, shape, padded);
}
void plane_convolution(double* y, PoolPlace* places, const double* x, const double* weight, const double* bias,
                       const PlaneShape& shape, double* padded) noexcept {
  plane_convolution_of(y, places, x, weight, bias, shape, padded);
}
void plane_gradients(double* weights, double* biases, const double* x, const double* dy, const PoolPlace* places,
                     const PlaneShape& shape, double* padded) noexcept {
  plane_gradients_of(weights, biases, x, dy, places, shape, padded);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
