// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense/simd.hpp"

#include "kernels/dense/exponential.hpp"
#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <bool relu, class T>
void add_row(T* values, const T* bias, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    T* row = values + r * columns;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < columns; ++c) {
      T value = row[c] + bias[c];
      row[c] = relu && value < T{0} ? T{0} : value;
    }
  }
}

template <class T>
void mask(T* dx, const T* dy, const T* activation, std::size_t count) {
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) dx[i] = activation[i] > T{0} ? dy[i] : T{0};
}

template <class T>
void add_to(T* sum, const T* values, std::size_t count) {
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) sum[i] = sum[i] + values[i];
}

/// sum[c] = the balanced tree over 1 to 4 rows, `stride` apart.
template <class T>
void sum_few_rows(T* sum, const T* row, std::size_t rows, std::size_t stride, std::size_t width) {
  if (rows == 4) {
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < width; ++c) {
      sum[c] = (row[c] + row[stride + c]) + (row[2 * stride + c] + row[3 * stride + c]);
    }
    return;
  }
  for (std::size_t c = 0; c < width; ++c) sum[c] = rows == 1 ? row[c] : row[c] + row[stride + c];
  if (rows == 3) add_to(sum, row + 2 * stride, width);
}

/// Sums the rows of a strip of columns on a stack of partial sums that works as a binary counter over row numbers. A strip
/// is as wide as lets the stack stay in the first-level cache: narrow ones would touch a page per row for two cache lines.
template <class T>
void sum_columns(T* result, const T* matrix, std::size_t rows, std::size_t columns) {
  constexpr std::size_t strip = 1024 / sizeof(T);
  alignas(64) T partials[64][strip];
  for (std::size_t first = 0; first < columns; first += strip) {
    std::size_t width = columns - first < strip ? columns - first : strip;
    std::size_t depth = 0;
    for (std::size_t r = 0; r < rows; r += 4) {
      sum_few_rows(partials[depth], matrix + r * columns + first, rows - r < 4 ? rows - r : 4, columns, width);
      ++depth;
      if (rows - r < 4) break;  // the last, incomplete subtree waits for the end
      for (std::size_t n = r / 4; n & 1u; n >>= 1, --depth) add_to(partials[depth - 2], partials[depth - 1], width);
    }
    for (; depth > 1; --depth) add_to(partials[depth - 2], partials[depth - 1], width);
    for (std::size_t c = 0; c < width; ++c) result[first + c] = depth == 1 ? partials[0][c] : T{0};
  }
}

double sum_by_lanes(const double* values, std::size_t count) {
  double lanes[8] = {};
  for (std::size_t i = 0; i < count; ++i) lanes[i % 8] += values[i];
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

template <class T>
std::size_t softmax(const SoftmaxCrossEntropyCall<T>& call) {
  alignas(64) double shifted[256];
  alignas(64) double exponentials[256];
  const auto rows = static_cast<double>(call.rows);
  std::size_t correct = 0;
  for (std::size_t r = 0; r < call.rows; ++r) {
    const T* logits = call.logits + r * call.classes;
    const std::size_t label = call.labels[r];
    std::size_t best = 0;
    for (std::size_t j = 1; j < call.classes; ++j) best = logits[j] > logits[best] ? j : best;
    correct += best == label ? 1 : 0;
    const auto greatest = static_cast<double>(logits[best]);
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t j = 0; j < call.classes; ++j) {
      shifted[j] = static_cast<double>(logits[j]) - greatest;
      exponentials[j] = Exponential::of(shifted[j]);
    }
    const double sum = sum_by_lanes(exponentials, call.classes);
    if (call.losses != nullptr) {
      call.losses[r] = label < call.classes ? Logarithm::of(sum) - shifted[label] : __builtin_nan("");
    }
    if (call.gradient == nullptr) continue;
    T* gradient = call.gradient + r * call.classes;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t j = 0; j < call.classes; ++j) {
      gradient[j] = static_cast<T>((exponentials[j] / sum - (j == label ? 1.0 : 0.0)) / rows);
    }
  }
  return correct;
}

}  // namespace

void add_bias(float* values, const float* b, std::size_t rows, std::size_t columns) noexcept {
  add_row<false>(values, b, rows, columns);
}
void add_bias(double* values, const double* b, std::size_t rows, std::size_t columns) noexcept {
  add_row<false>(values, b, rows, columns);
}
void add_bias_relu(float* values, const float* b, std::size_t rows, std::size_t columns) noexcept {
  add_row<true>(values, b, rows, columns);
}
void add_bias_relu(double* values, const double* b, std::size_t rows, std::size_t columns) noexcept {
  add_row<true>(values, b, rows, columns);
}
void relu_backward(float* dx, const float* dy, const float* activation, std::size_t count) noexcept {
  mask(dx, dy, activation, count);
}
void relu_backward(double* dx, const double* dy, const double* activation, std::size_t count) noexcept {
  mask(dx, dy, activation, count);
}
void column_sum(float* result, const float* matrix, std::size_t rows, std::size_t columns) noexcept {
  sum_columns(result, matrix, rows, columns);
}
void column_sum(double* result, const double* matrix, std::size_t rows, std::size_t columns) noexcept {
  sum_columns(result, matrix, rows, columns);
}
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<float>& call) noexcept { return softmax(call); }
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<double>& call) noexcept { return softmax(call); }

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
