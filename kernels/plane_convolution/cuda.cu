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

template <class T>
struct PlaneConvolution {
  static constexpr const char* name = "trireme_plane_convolution";
  static constexpr unsigned run_length = 1;
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
    T greatest = T{0};
    PoolPlace place = 0;
    for (unsigned q = 0; q < 4; ++q) {
      T sum = T{0};
      for (unsigned t = 0; t < taps; ++t) {
        sum = sum + weight[taps * o + t] * pixel(from, s, 2 * i + q / 2 + t / 3, 2 * j + q % 2 + t % 3);
      }
      if (q == 0 || sum > greatest || sum != sum) {
        greatest = sum;
        place = static_cast<PoolPlace>(q);
      }
    }
    const T value = greatest + bias[o];
    y[e] = value < T{0} ? T{0} : value;
    places[e] = value > T{0} ? place : nowhere;
  }
};

/// Ten elements for each output of each image: its weights, then its bias.
template <class T>
struct PlaneGradients {
  static constexpr const char* name = "trireme_plane_gradients";
  static constexpr unsigned run_length = 1;
  T* weights;
  T* biases;
  const T* x;
  const T* dy;
  const PoolPlace* places;
  PlaneShape s;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t e) const {
    const auto [rest, o] = divide(e, s.outputs);  // neighbours have neighbouring outputs
    const auto [image, t] = divide(rest, taps + 1);
    const std::size_t windows = (s.height / 2) * (s.width / 2);
    const T* from = x + image * s.height * s.width;
    T sum = T{0};
    for (std::size_t window = 0; window < windows; ++window) {
      const std::size_t element = (image * windows + window) * s.outputs + o;
      const PoolPlace place = places[element];
      const T derivative = dy[element];
      if (t == taps) {
        sum = sum + (place == nowhere ? T{0} : derivative);
        continue;
      }
      const std::size_t i = window / (s.width / 2), j = window % (s.width / 2);
      for (unsigned q = 0; q < 4; ++q) {
        sum = sum + (place == q ? derivative : T{0}) * pixel(from, s, 2 * i + q / 2 + t / 3, 2 * j + q % 2 + t % 3);
      }
    }
    if (t == taps)
      biases[image * s.outputs + o] = sum;
    else
      weights[(image * s.outputs + o) * taps + t] = sum;
  }
};

}  // namespace

template <class T>
void plane_convolution(T* y, PoolPlace* places, const T* x, const T* weight, const T* bias, const PlaneShape& shape,
                       device::Queue queue) {
  launch_elements(queue, PlaneConvolution<T>{y, places, x, weight, bias, shape}, shape.images * shape.image_outputs());
}
template <class T>
void plane_gradients(T* weights, T* biases, const T* x, const T* dy, const PoolPlace* places, const PlaneShape& shape,
                     device::Queue queue) {
  launch_elements(queue, PlaneGradients<T>{weights, biases, x, dy, places, shape},
                  shape.images * shape.outputs * (taps + 1));
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
