// SPDX-License-Identifier: Apache-2.0
#include "kernels/layer_norm/simd.hpp"

#include "kernels/lane_sum.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class T>
void layer_norm_loop(const LayerNormCall<T>& call) {
  const std::size_t columns = call.columns;
  const auto divisor = static_cast<double>(columns);
  for (std::size_t r = 0; r < call.rows; ++r) {
    const T* x = call.x + r * columns;
    T* y = call.y + r * columns;
    const T* gain = call.gain;
    const T* bias = call.bias;
    LaneSum sum;
    sum.add(columns, [x](std::size_t i) { return x[i]; });
    const double exact_mean = sum.result() / divisor;
    LaneSum squares;
    squares.add(columns, [x, exact_mean](std::size_t i) {
      const double distance = static_cast<double>(x[i]) - exact_mean;
      return distance * distance;
    });
    const auto mean = static_cast<T>(exact_mean);
    const auto inverse_root = static_cast<T>(1.0 / __builtin_sqrt(squares.result() / divisor + call.epsilon));
    call.means[r] = mean;
    call.inverse_roots[r] = inverse_root;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < columns; ++c) y[c] = (x[c] - mean) * inverse_root * gain[c] + bias[c];
  }
}

template <class T>
void layer_norm_backward_loop(const LayerNormBackwardCall<T>& call) {
  const std::size_t columns = call.columns;
  const auto divisor = static_cast<double>(columns);
  for (std::size_t r = 0; r < call.rows; ++r) {
    const T* x = call.x + r * columns;
    const T* dy = call.dy + r * columns;
    const T* gain = call.gain;
    T* dx = call.dx + r * columns;
    T* gain_terms = call.gain_terms + r * columns;
    const T mean = call.means[r];
    const T inverse_root = call.inverse_roots[r];
    LaneSum sum;
    sum.add(columns, [gain, dy](std::size_t i) { return gain[i] * dy[i]; });
    LaneSum products;
    products.add(columns, [x, gain, dy, mean, inverse_root](std::size_t i) {
      return static_cast<double>(gain[i] * dy[i]) * static_cast<double>((x[i] - mean) * inverse_root);
    });
    const auto mean_term = static_cast<T>(sum.result() / divisor);
    const auto slope = static_cast<T>(products.result() / divisor);
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < columns; ++c) {
      const T normalised = (x[c] - mean) * inverse_root;
      gain_terms[c] = dy[c] * normalised;
      dx[c] = dx[c] + inverse_root * ((gain[c] * dy[c] - mean_term) - normalised * slope);
    }
  }
}

}  // namespace

void layer_norm(const LayerNormCall<float>& call) noexcept { layer_norm_loop(call); }
void layer_norm_backward(const LayerNormBackwardCall<float>& call) noexcept { layer_norm_backward_loop(call); }
void layer_norm(const LayerNormCall<double>& call) noexcept { layer_norm_loop(call); }
void layer_norm_backward(const LayerNormBackwardCall<double>& call) noexcept { layer_norm_backward_loop(call); }

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
