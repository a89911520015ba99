// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_loops.hpp"
#include "kernels/plane_convolution/plane_convolution_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

constexpr unsigned taps = 9;

/// A pixel one further down and right than it is called by: a frame of zeros is around the image.
template <class T>
TRIREME_DEVICE T pixel(const T* image, const PlaneShape& s, std::size_t y, std::size_t x) {
  const std::size_t row = y - 1, column = x - 1;  // wrap where they are negative
  return row < s.height && column < s.width ? image[row * s.width + column] : T{0};
}

/// A run of outputs per thread where runs are whole, so that the 16 pixels around a window are read once for all of them.
template <class T>
struct PlaneConvolution {
  static constexpr const char* name = "trireme_plane_convolution";
  static constexpr unsigned run_length = wide<T>;
  T* y;
  PoolPlace* places;
  const T* x;
  const T* weight;
  const T* bias;
  PlaneShape s;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t e) const {
    const auto [window, o] = divide(e, s.outputs);
    const auto [row, j] = divide(window, s.width / 2);
    const auto [image, i] = divide(row, s.height / 2);
    const T* from = x + image * s.height * s.width;
    T around[16];
    TRIREME_UNROLL
    for (unsigned p = 0; p < 16; ++p) around[p] = pixel(from, s, 2 * i + p / 4, 2 * j + p % 4);
    Wide<T, n> value{};
    Wide<PoolPlace, n> place{};
    for (unsigned k = 0; k < n; ++k) {
      T own[taps];
      TRIREME_UNROLL
      for (unsigned t = 0; t < taps; ++t) own[t] = weight[taps * (o + k) + t];
      T greatest = T{0};
      TRIREME_UNROLL
      for (unsigned q = 0; q < 4; ++q) {
        T sum = T{0};
        TRIREME_UNROLL
        for (unsigned t = 0; t < taps; ++t) sum = sum + own[t] * around[(q / 2 + t / 3) * 4 + q % 2 + t % 3];
        if (q == 0 || sum > greatest || sum != sum) {
          greatest = sum;
          place.at[k] = static_cast<PoolPlace>(q);
        }
      }
      const T sum = greatest + bias[o + k];
      value.at[k] = sum < T{0} ? T{0} : sum;
      if (!(sum > T{0})) place.at[k] = nowhere;
    }
    store(y + e, value);
    store(places + e, place);
  }
};

/// The three weights of a row of taps for each output of each image; the first row's thread adds the bias. More of them in
/// one thread would read derivatives less often, and leave a large device idle.
template <class T>
struct PlaneGradients {
  static constexpr const char* name = "trireme_plane_gradients";
  static constexpr unsigned run_length = 1;
  static constexpr unsigned resident = 4;  // more, and sm_90 keeps values in memory
  T* weights;
  T* biases;
  const T* x;
  const T* dy;
  const PoolPlace* places;
  PlaneShape s;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t e) const {
    const auto [rest, o] = divide(e, s.outputs);  // neighbours have neighbouring outputs
    const auto [image, ky] = divide(rest, 3);
    const std::size_t rows = s.height / 2, columns = s.width / 2;
    const T* from = x + image * s.height * s.width;
    const std::size_t first = image * rows * columns * s.outputs + o;
    T sums[3] = {};
    T bias = T{0};
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < columns; ++j) {
        const std::size_t element = first + (i * columns + j) * s.outputs;
        const PoolPlace place = places[element];
        const T derivative = dy[element];
        bias = bias + (place == nowhere ? T{0} : derivative);
        TRIREME_UNROLL
        for (unsigned q = 0; q < 4; ++q) {
          const T share = place == q ? derivative : T{0};
          TRIREME_UNROLL
          for (unsigned kx = 0; kx < 3; ++kx) {
            sums[kx] = sums[kx] + share * pixel(from, s, 2 * i + q / 2 + ky, 2 * j + q % 2 + kx);
          }
        }
      }
    }
    if (ky == 0) biases[image * s.outputs + o] = bias;
    TRIREME_UNROLL
    for (unsigned kx = 0; kx < 3; ++kx) weights[(image * s.outputs + o) * taps + ky * 3 + kx] = sums[kx];
  }
};

}  // namespace

template <class T>
void plane_convolution(T* y, PoolPlace* places, const T* x, const T* weight, const T* bias, const PlaneShape& shape,
                       device::Queue queue) {
  launch_elements(queue, PlaneConvolution<T>{y, places, x, weight, bias, shape}, shape.images * shape.image_outputs(),
                  shape.outputs % wide<T> == 0 && aligned(y) && aligned(places));
}
template <class T>
void plane_gradients(T* weights, T* biases, const T* x, const T* dy, const PoolPlace* places, const PlaneShape& shape,
                     device::Queue queue) {
  launch_elements(queue, PlaneGradients<T>{weights, biases, x, dy, places, shape}, shape.images * shape.outputs * 3);
}

template void plane_convolution(float*, PoolPlace*, const float*, const float*, const float*, const PlaneShape&,
                                device::Queue);
template void plane_convolution(double*, PoolPlace*, const double*, const double*, const double*, const PlaneShape&,
                                device::Queue);
template void plane_gradients(float*, float*, const float*, const float*, const PoolPlace*, const PlaneShape&,
                              device::Queue);
template void plane_gradients(double*, double*, const double*, const double*, const PoolPlace*, const PlaneShape&,
                              device::Queue);

void plane_convolution_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(elements_entry<PlaneConvolution<float>>());
  kernels.push_back(elements_entry<PlaneConvolution<double>>());
  kernels.push_back(elements_entry<PlaneGradients<float>>());
  kernels.push_back(elements_entry<PlaneGradients<double>>());
}

}  // namespace trireme::kernels
