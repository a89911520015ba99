// SPDX-License-Identifier: Apache-2.0
#include "kernels/causal_softmax/simd.hpp"

#include "kernels/dense/exponential_of.hpp"
#include "kernels/lane_sum.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class T>
void causal_softmax_loop(T* values, std::size_t length, T scale) {
  for (std::size_t i = 0; i < length; ++i) {
    T* row = values + i * length;
    const std::size_t count = i + 1;
    const T shift = greatest_of(row, count) * scale;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t j = 0; j < count; ++j) row[j] = ExponentialOf<T>::of(row[j] * scale - shift);
    LaneSum sum;
    sum.add(count, [row](std::size_t j) { return row[j]; });
    const auto inverse = static_cast<T>(1.0 / sum.result());
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t j = 0; j < count; ++j) row[j] = row[j] * inverse;
    for (std::size_t j = count; j < length; ++j) row[j] = T{0};
  }
}

template <class T>
void causal_softmax_backward_loop(T* gradient, const T* weights, std::size_t length, T scale) {
  for (std::size_t i = 0; i < length; ++i) {
    const T* p = weights + i * length;
    T* d = gradient + i * length;
    const std::size_t count = i + 1;
    LaneSum sum;
    sum.add(count, [p, d](std::size_t j) { return static_cast<double>(p[j]) * static_cast<double>(d[j]); });
    const auto mean = static_cast<T>(sum.result());
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t j = 0; j < count; ++j) d[j] = scale * (p[j] * (d[j] - mean));
    for (std::size_t j = count; j < length; ++j) d[j] = T{0};
  }
}

}  // namespace

void causal_softmax(float* values, std::size_t length, float scale) noexcept {
  causal_softmax_loop(values, length, scale);
}
void causal_softmax_backward(float* gradient, const float* weights, std::size_t length, float scale) noexcept {
  causal_softmax_backward_loop(gradient, weights, length, scale);
}
void causal_softmax(double* values, std::size_t length, double scale) noexcept {
  causal_softmax_loop(values, length, scale);
}
void causal_softmax_backward(double* gradient, const double* weights, std::size_t length, double scale) noexcept {
  causal_softmax_backward_loop(gradient, weights, length, scale);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
