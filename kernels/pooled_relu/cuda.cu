// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_loops.hpp"
#include "kernels/pooled_relu/pooled_relu_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

/// One thread per output: neighbours have neighbouring channels.
template <class T>
struct PooledRelu {
  static constexpr const char* name = "trireme_pooled_relu";
  static constexpr unsigned run_length = 1;
  T* y;
  PoolPlace* places;
  const T* x;
  const T* bias;
  PoolShape shape;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const auto [pixel, c] = divide(i, shape.channels);
    const auto [row, j] = divide(pixel, shape.width / 2);
    const auto [image, r] = divide(row, shape.height / 2);
    const T* upper = x + ((image * shape.height + 2 * r) * shape.width + 2 * j) * shape.channels + c;
    T greatest = upper[0];
    PoolPlace place = 0;
    for (unsigned q = 1; q < 4; ++q) {
      const T value = upper[(q / 2 * shape.width + q % 2) * shape.channels];
      if (value > greatest || value != value) {
        greatest = value;
        place = static_cast<PoolPlace>(q);
      }
    }
    const T sum = greatest + bias[c];
    y[i] = sum < T{0} ? T{0} : sum;
    places[i] = sum > T{0} ? place : nowhere;
  }
};

template <class T>
struct PooledReluMask {
  static constexpr const char* name = "trireme_pooled_relu_mask";
  static constexpr unsigned run_length = 1;
  T* dy;
  const PoolPlace* places;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    if (places[i] == nowhere) dy[i] = T{0};
  }
};

template <class T>
struct PooledReluBackward {
  static constexpr const char* name = "trireme_pooled_relu_backward";
  static constexpr unsigned run_length = 1;
  T* dx;
  const T* dy;
  const PoolPlace* places;
  PoolShape shape;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const auto [pixel, c] = divide(i, shape.channels);
    const auto [row, j] = divide(pixel, shape.width);
    const auto [image, r] = divide(row, shape.height);
    T value = T{0};
    if (r / 2 < shape.height / 2 && j / 2 < shape.width / 2) {
      const std::size_t window =
          ((image * (shape.height / 2) + r / 2) * (shape.width / 2) + j / 2) * shape.channels + c;
      if (places[window] == r % 2 * 2 + j % 2) value = dy[window];
    }
    dx[i] = value;
  }
};

std::size_t outputs_of(const PoolShape& s) { return s.images * (s.height / 2) * (s.width / 2) * s.channels; }
std::size_t inputs_of(const PoolShape& s) { return s.images * s.height * s.width * s.channels; }

}  // namespace

template <class T>
void pooled_relu(T* y, PoolPlace* places, const T* x, const T* bias, const PoolShape& shape, device::Queue queue) {
  launch_elements(queue, PooledRelu<T>{y, places, x, bias, shape}, outputs_of(shape));
}
template <class T>
void pooled_relu_mask(T* dy, const PoolPlace* places, std::size_t count, device::Queue queue) {
  launch_elements(queue, PooledReluMask<T>{dy, places}, count);
}
template <class T>
void pooled_relu_backward(T* dx, const T* dy, const PoolPlace* places, const PoolShape& shape, device::Queue queue) {
  launch_elements(queue, PooledReluBackward<T>{dx, dy, places, shape}, inputs_of(shape));
}

template void pooled_relu(float*, PoolPlace*, const float*, const float*, const PoolShape&, device::Queue);
template void pooled_relu(double*, PoolPlace*, const double*, const double*, const PoolShape&, device::Queue);
template void pooled_relu_mask(float*, const PoolPlace*, std::size_t, device::Queue);
template void pooled_relu_mask(double*, const PoolPlace*, std::size_t, device::Queue);
template void pooled_relu_backward(float*, const float*, const PoolPlace*, const PoolShape&, device::Queue);
template void pooled_relu_backward(double*, const double*, const PoolPlace*, const PoolShape&, device::Queue);

void pooled_relu_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(elements_entry<PooledRelu<float>>());
  kernels.push_back(elements_entry<PooledRelu<double>>());
  kernels.push_back(elements_entry<PooledReluMask<float>>());
  kernels.push_back(elements_entry<PooledReluMask<double>>());
  kernels.push_back(elements_entry<PooledReluBackward<float>>());
  kernels.push_back(elements_entry<PooledReluBackward<double>>());
}

}  // namespace trireme::kernels
