// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_loops.hpp"
#include "kernels/pooled_relu/pooled_relu_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

/// A run of neighbouring channels per thread, or one output: neighbours have neighbouring channels.
template <class T>
struct PooledRelu {
  static constexpr const char* name = "trireme_pooled_relu";
  static constexpr unsigned run_length = wide<T>;
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
    Wide<T, n> greatest = load<n>(upper);
    Wide<PoolPlace, n> place{};
    for (unsigned q = 1; q < 4; ++q) {
      const Wide<T, n> value = load<n>(upper + (q / 2 * shape.width + q % 2) * shape.channels);
      for (unsigned k = 0; k < n; ++k) {
        if (value.at[k] > greatest.at[k] || value.at[k] != value.at[k]) {
          greatest.at[k] = value.at[k];
          place.at[k] = static_cast<PoolPlace>(q);
        }
      }
    }
    const Wide<T, n> own = load<n>(bias + c);
    for (unsigned k = 0; k < n; ++k) {
      const T sum = greatest.at[k] + own.at[k];
      greatest.at[k] = sum < T{0} ? T{0} : sum;
      if (!(sum > T{0})) place.at[k] = nowhere;
    }
    store(y + i, greatest);
    store(places + i, place);
  }
};

template <class T>
struct PooledReluMask {
  static constexpr const char* name = "trireme_pooled_relu_mask";
  static constexpr unsigned run_length = wide<T>;
  T* dy;
  const PoolPlace* places;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const Wide<PoolPlace, n> place = load<n>(places + i);
    Wide<T, n> value = load<n>(dy + i);
    for (unsigned k = 0; k < n; ++k) value.at[k] = place.at[k] == nowhere ? T{0} : value.at[k];
    store(dy + i, value);
  }
};

template <class T>
struct PooledReluBackward {
  static constexpr const char* name = "trireme_pooled_relu_backward";
  static constexpr unsigned run_length = wide<T>;
  T* dx;
  const T* dy;
  const PoolPlace* places;
  PoolShape shape;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const auto [pixel, c] = divide(i, shape.channels);
    const auto [row, j] = divide(pixel, shape.width);
    const auto [image, r] = divide(row, shape.height);
    Wide<T, n> value{};
    if (r / 2 < shape.height / 2 && j / 2 < shape.width / 2) {
      const std::size_t window =
          ((image * (shape.height / 2) + r / 2) * (shape.width / 2) + j / 2) * shape.channels + c;
      const Wide<PoolPlace, n> place = load<n>(places + window);
      const Wide<T, n> derivative = load<n>(dy + window);
      for (unsigned k = 0; k < n; ++k) {
        if (place.at[k] == r % 2 * 2 + j % 2) value.at[k] = derivative.at[k];
      }
    }
    store(dx + i, value);
  }
};

std::size_t outputs_of(const PoolShape& s) { return s.images * (s.height / 2) * (s.width / 2) * s.channels; }
std::size_t inputs_of(const PoolShape& s) { return s.images * s.height * s.width * s.channels; }

}  // namespace

template <class T>
void pooled_relu(T* y, PoolPlace* places, const T* x, const T* bias, const PoolShape& shape, device::Queue queue) {
  launch_elements(queue, PooledRelu<T>{y, places, x, bias, shape}, outputs_of(shape),
                  shape.channels % wide<T> == 0 && aligned(y, x, bias) && aligned(places));
}
template <class T>
void pooled_relu_mask(T* dy, const PoolPlace* places, std::size_t count, device::Queue queue) {
  launch_elements(queue, PooledReluMask<T>{dy, places}, count, aligned(dy) && aligned(places));
}
template <class T>
void pooled_relu_backward(T* dx, const T* dy, const PoolPlace* places, const PoolShape& shape, device::Queue queue) {
  launch_elements(queue, PooledReluBackward<T>{dx, dy, places, shape}, inputs_of(shape),
                  shape.channels % wide<T> == 0 && aligned(dx, dy) && aligned(places));
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
