// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_loops.hpp"
#include "kernels/device_tree_sum.hpp"
#include "kernels/pooling/pooling_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

template <class T>
struct ImageColumns {
  static constexpr const char* name = "trireme_mean_pool";
  using Value = T;
  T* y;
  const T* x;
  std::size_t pixels;
  std::size_t channels;
  TRIREME_DEVICE T term(std::size_t image, std::size_t pixel, std::size_t c) const {
    return x[(image * pixels + pixel) * channels + c];
  }
  TRIREME_DEVICE void finish(std::size_t image, std::size_t c, T sum) const {
    y[image * channels + c] = sum / static_cast<T>(pixels);
  }
};

template <class T>
struct MeanPoolBackward {
  static constexpr const char* name = "trireme_mean_pool_backward";
  static constexpr unsigned run_length = wide<T>;
  T* dx;
  const T* dy;
  std::size_t pixels;
  std::size_t channels;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const auto [pixel, c] = divide(i, channels);
    Wide<T, n> value = load<n>(dy + divide(pixel, pixels).value * channels + c);
    for (unsigned k = 0; k < n; ++k) value.at[k] = value.at[k] / static_cast<T>(pixels);
    store(dx + i, value);
  }
};

}  // namespace

template <class T>
void mean_pool(T* y, const T* x, const PoolShape& shape, device::Queue queue) {
  const std::size_t pixels = shape.height * shape.width;
  launch_columns(queue, ImageColumns<T>{y, x, pixels, shape.channels}, shape.images, pixels, shape.channels);
}
template <class T>
void mean_pool_backward(T* dx, const T* dy, const PoolShape& shape, device::Queue queue) {
  const std::size_t pixels = shape.height * shape.width;
  launch_elements(queue, MeanPoolBackward<T>{dx, dy, pixels, shape.channels}, shape.images * pixels * shape.channels,
                  shape.channels % wide<T> == 0 && aligned(dx, dy));
}

template void mean_pool(float*, const float*, const PoolShape&, device::Queue);
template void mean_pool(double*, const double*, const PoolShape&, device::Queue);
template void mean_pool_backward(float*, const float*, const PoolShape&, device::Queue);
template void mean_pool_backward(double*, const double*, const PoolShape&, device::Queue);

void pooling_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(columns_entry<ImageColumns<float>>());
  kernels.push_back(columns_entry<ImageColumns<double>>());
  kernels.push_back(elements_entry<MeanPoolBackward<float>>());
  kernels.push_back(elements_entry<MeanPoolBackward<double>>());
}

}  // namespace trireme::kernels
