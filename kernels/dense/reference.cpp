// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense/reference.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace trireme::kernels::reference {
namespace {

/// The balanced tree over `rows` elements, `stride` apart.
template <class T>
T tree_sum(const T* column, std::size_t rows, std::size_t stride) {
  if (rows == 1) return column[0];
  std::size_t split = std::bit_floor(rows - 1);
  return tree_sum(column, split, stride) + tree_sum(column + split * stride, rows - split, stride);
}

}  // namespace

template <class T>
void add_bias(T* values, const T* bias, std::size_t rows, std::size_t columns) {
  for (std::size_t i = 0; i < rows * columns; ++i) values[i] += bias[i % columns];
}

template <class T>
void add_bias_relu(T* values, const T* bias, std::size_t rows, std::size_t columns) {
  add_bias(values, bias, rows, columns);
  for (std::size_t i = 0; i < rows * columns; ++i) {
    if (values[i] < 0) values[i] = 0;
  }
}

template <class T>
void relu_backward(T* dx, const T* dy, const T* activation, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) dx[i] = activation[i] > 0 ? dy[i] : T{0};
}

template <class T>
void column_sum(T* result, const T* matrix, std::size_t rows, std::size_t columns) {
  for (std::size_t c = 0; c < columns; ++c) result[c] = rows == 0 ? T{0} : tree_sum(matrix + c, rows, columns);
}

template <class T>
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<T>& call) {
  std::size_t correct = 0;
  for (std::size_t r = 0; r < call.rows; ++r) {
    std::vector<double> z(call.logits + r * call.classes, call.logits + (r + 1) * call.classes);
    std::size_t label = call.labels[r];
    auto greatest = std::max_element(z.begin(), z.end());
    if (static_cast<std::size_t>(greatest - z.begin()) == label) ++correct;
    double shift = *greatest;
    double sum = 0;
    for (double value : z) sum += std::exp(value - shift);
    if (call.losses != nullptr) call.losses[r] = std::log(sum) - (z[label] - shift);
    if (call.gradient == nullptr) continue;
    for (std::size_t j = 0; j < call.classes; ++j) {
      double probability = std::exp(z[j] - shift) / sum;
      call.gradient[r * call.classes + j] =
          static_cast<T>((probability - (j == label ? 1.0 : 0.0)) / static_cast<double>(call.rows));
    }
  }
  return correct;
}

template void add_bias(float*, const float*, std::size_t, std::size_t);
template void add_bias(double*, const double*, std::size_t, std::size_t);
template void add_bias_relu(float*, const float*, std::size_t, std::size_t);
template void add_bias_relu(double*, const double*, std::size_t, std::size_t);
template void relu_backward(float*, const float*, const float*, std::size_t);
template void relu_backward(double*, const double*, const double*, std::size_t);
template void column_sum(float*, const float*, std::size_t, std::size_t);
template void column_sum(double*, const double*, std::size_t, std::size_t);
template std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<float>&);
template std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<double>&);

}  // namespace trireme::kernels::reference
