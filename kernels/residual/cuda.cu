// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_loops.hpp"
#include "kernels/residual/residual_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

template <class T>
struct AddBiasResidual {
  static constexpr const char* name = "trireme_add_bias_residual";
  static constexpr unsigned run_length = wide<T>;
  T* sum;
  const T* values;
  const T* bias;
  const T* residual;
  std::size_t columns;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const Wide<T, n> value = load<n>(values + i);
    const Wide<T, n> own = load<n>(bias + column_of(i, columns));
    Wide<T, n> result = load<n>(residual + i);
    for (unsigned k = 0; k < n; ++k) result.at[k] = result.at[k] + (value.at[k] + own.at[k]);
    store(sum + i, result);
  }
};

template <class T>
struct Add {
  static constexpr const char* name = "trireme_add";
  static constexpr unsigned run_length = wide<T>;
  T* sum;
  const T* a;
  const T* b;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    Wide<T, n> result = load<n>(a + i);
    const Wide<T, n> other = load<n>(b + i);
    for (unsigned k = 0; k < n; ++k) result.at[k] = result.at[k] + other.at[k];
    store(sum + i, result);
  }
};

}  // namespace

template <class T>
void add_bias_residual(T* sum, const T* values, const T* bias, const T* residual, std::size_t rows, std::size_t columns,
                       device::Queue queue) {
  launch_elements(queue, AddBiasResidual<T>{sum, values, bias, residual, columns}, rows * columns,
                  columns % wide<T> == 0 && aligned(sum, values, bias, residual));
}
template <class T>
void add(T* sum, const T* a, const T* b, std::size_t count, device::Queue queue) {
  launch_elements(queue, Add<T>{sum, a, b}, count, aligned(sum, a, b));
}

template void add_bias_residual(float*, const float*, const float*, const float*, std::size_t, std::size_t,
                                device::Queue);
template void add_bias_residual(double*, const double*, const double*, const double*, std::size_t, std::size_t,
                                device::Queue);
template void add(float*, const float*, const float*, std::size_t, device::Queue);
template void add(double*, const double*, const double*, std::size_t, device::Queue);

void residual_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(elements_entry<AddBiasResidual<float>>());
  kernels.push_back(elements_entry<AddBiasResidual<double>>());
  kernels.push_back(elements_entry<Add<float>>());
  kernels.push_back(elements_entry<Add<double>>());
}

}  // namespace trireme::kernels
