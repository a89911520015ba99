// SPDX-License-Identifier: Apache-2.0
#define TRIREME_KERNELS_ISA device_arithmetic
#include "kernels/dense/exponential_of.hpp"
#include "kernels/device_loops.hpp"
#include "kernels/gelu/gelu_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;
using device_arithmetic::ExponentialOf;

/// The constants and the sigmoid of gelu/simd.cpp.
template <class T>
struct Constants {
  static constexpr T linear = static_cast<T>(1.59576912160573071);
  static constexpr T cubic = static_cast<T>(1.59576912160573071 * 0.044715);
};

template <class T>
struct Sigmoid {
  T e, inverse, value;
  TRIREME_DEVICE explicit Sigmoid(T z) {
    e = ExponentialOf<T>::of(z < T{0} ? z : -z);
    inverse = T{1} / (T{1} + e);
    value = z < T{0} ? e * inverse : inverse;
  }
};

template <class T>
struct AddBiasGelu {
  static constexpr const char* name = "trireme_add_bias_gelu";
  static constexpr unsigned run_length = wide<T>;
  T* activations;
  T* values;
  const T* bias;
  std::size_t columns;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    Wide<T, n> z = load<n>(values + i);
    const Wide<T, n> own = load<n>(bias + column_of(i, columns));
    Wide<T, n> out;
    for (unsigned k = 0; k < n; ++k) {
      const T x = z.at[k] + own.at[k];
      z.at[k] = x;
      out.at[k] = x * Sigmoid<T>(x * (Constants<T>::linear + Constants<T>::cubic * (x * x))).value;
    }
    store(values + i, z);
    store(activations + i, out);
  }
};

template <class T>
struct GeluBackward {
  static constexpr const char* name = "trireme_gelu_backward";
  static constexpr unsigned run_length = wide<T>;
  T* dx;
  const T* dy;
  const T* values;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const Wide<T, n> z = load<n>(values + i);
    Wide<T, n> d = load<n>(dy + i);
    for (unsigned k = 0; k < n; ++k) {
      const T x = z.at[k];
      const T square = x * x;
      const Sigmoid<T> sigmoid(x * (Constants<T>::linear + Constants<T>::cubic * square));
      const T slope = sigmoid.e * sigmoid.inverse * sigmoid.inverse * x *
                      (Constants<T>::linear + T{3} * Constants<T>::cubic * square);
      d.at[k] = d.at[k] * (sigmoid.value + (sigmoid.e > T{0} ? slope : T{0}));
    }
    store(dx + i, d);
  }
};

}  // namespace

template <class T>
void add_bias_gelu(T* activations, T* values, const T* bias, std::size_t rows, std::size_t columns,
                   device::Queue queue) {
  launch_elements(queue, AddBiasGelu<T>{activations, values, bias, columns}, rows * columns,
                  columns % wide<T> == 0 && aligned(activations, values, bias));
}
template <class T>
void gelu_backward(T* dx, const T* dy, const T* values, std::size_t count, device::Queue queue) {
  launch_elements(queue, GeluBackward<T>{dx, dy, values}, count, aligned(dx, dy, values));
}

template void add_bias_gelu(float*, float*, const float*, std::size_t, std::size_t, device::Queue);
template void add_bias_gelu(double*, double*, const double*, std::size_t, std::size_t, device::Queue);
template void gelu_backward(float*, const float*, const float*, std::size_t, device::Queue);
template void gelu_backward(double*, const double*, const double*, std::size_t, device::Queue);

void gelu_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(elements_entry<AddBiasGelu<float>>());
  kernels.push_back(elements_entry<AddBiasGelu<double>>());
  kernels.push_back(elements_entry<GeluBackward<float>>());
  kernels.push_back(elements_entry<GeluBackward<double>>());
}

}  // namespace trireme::kernels
