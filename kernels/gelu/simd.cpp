// SPDX-License-Identifier: Apache-2.0
#include "kernels/gelu/simd.hpp"

#include "kernels/dense/exponential_of.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// 2 sqrt(2/pi) and its product with 0.044715.
template <class T>
inline constexpr T linear = static_cast<T>(1.59576912160573071);
template <class T>
inline constexpr T cubic = static_cast<T>(1.59576912160573071 * 0.044715);

/// 1/(1 + exp(-z)) and z's own e = exp(-|z|), 1/(1 + e).
template <class T>
struct Sigmoid {
  T e, inverse, value;
  explicit Sigmoid(T z) {
    e = ExponentialOf<T>::of(z < T{0} ? z : -z);
    inverse = T{1} / (T{1} + e);
    value = z < T{0} ? e * inverse : inverse;
  }
};

template <class T>
void add_bias_gelu_loop(T* activations, T* values, const T* bias, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    T* z = values + r * columns;
    T* out = activations + r * columns;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < columns; ++c) {
      const T x = z[c] + bias[c];
      z[c] = x;
      out[c] = x * Sigmoid<T>(x * (linear<T> + cubic<T> * (x * x))).value;
    }
  }
}

template <class T>
void gelu_backward_loop(T* dx, const T* dy, const T* values, std::size_t count) {
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) {
    const T x = values[i];
    const T square = x * x;
    const Sigmoid<T> sigmoid(x * (linear<T> + cubic<T> * square));
    // Where x is so large that its product with 0 would be no number, e is 0 and so is the second term.
    const T slope = sigmoid.e * sigmoid.inverse * sigmoid.inverse * x * (linear<T> + T{3} * cubic<T> * square);
    dx[i] = dy[i] * (sigmoid.value + (sigmoid.e > T{0} ? slope : T{0}));
  }
}

}  // namespace

void add_bias_gelu(float* activations, float* values, const float* bias, std::size_t rows,
                   std::size_t columns) noexcept {
  add_bias_gelu_loop(activations, values, bias, rows, columns);
}
void gelu_backward(float* dx, const float* dy, const float* values, std::size_t count) noexcept {
  gelu_backward_loop(dx, dy, values, count);
}
void add_bias_gelu(double* activations, double* values, const double* bias, std::size_t rows,
                   std::size_t columns) noexcept {
  add_bias_gelu_loop(activations, values, bias, rows, columns);
}
void gelu_backward(double* dx, const double* dy, const double* values, std::size_t count) noexcept {
  gelu_backward_loop(dx, dy, values, count);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
