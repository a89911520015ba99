// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch_norm/reference.hpp"

#include <algorithm>
#include <bit>

namespace trireme::kernels::reference {
namespace {

constexpr std::size_t block_rows = 64;

/// The sum of term(row) over [0, rows): blocks ascending, then the balanced tree over blocks.
template <class Term>
double sum_over_rows(std::size_t first_block, std::size_t blocks, std::size_t rows, Term term) {
  if (blocks <= 1) {
    double sum = 0.0;
    for (std::size_t r = first_block * block_rows; r < std::min(rows, (first_block + 1) * block_rows); ++r) {
      sum += term(r);
    }
    return sum;
  }
  const std::size_t split = std::bit_floor(blocks - 1);
  return sum_over_rows(first_block, split, rows, term) + sum_over_rows(first_block + split, blocks - split, rows, term);
}

template <class Term>
double sum_over_rows(std::size_t rows, Term term) {
  return sum_over_rows(0, (rows + block_rows - 1) / block_rows, rows, term);
}

}  // namespace

template <class T>
void column_moments(double* mean, double* squares, const T* x, std::size_t rows, std::size_t columns) {
  for (std::size_t c = 0; c < columns; ++c) {
    mean[c] = sum_over_rows(rows, [&](std::size_t r) { return static_cast<double>(x[r * columns + c]); }) /
              static_cast<double>(rows);
    squares[c] = sum_over_rows(rows, [&](std::size_t r) {
      const double difference = static_cast<double>(x[r * columns + c]) - mean[c];
      return difference * difference;
    });
  }
}

template <class T>
void normalise(const NormaliseCall<T>& call) {
  for (std::size_t i = 0; i < call.rows * call.columns; ++i) {
    const std::size_t c = i % call.columns;
    const T value = (call.x[i] - call.mean[c]) * call.scale[c] + call.shift[c];
    call.y[i] = call.relu && value < 0 ? T{0} : value;
  }
}

template <class T>
void derivative_sums(const DerivativeSumsCall<T>& call) {
  for (std::size_t c = 0; c < call.columns; ++c) {
    const auto dy = [&](std::size_t r) {
      const std::size_t i = r * call.columns + c;
      return call.y == nullptr || call.y[i] > 0 ? static_cast<double>(call.dy[i]) : 0.0;
    };
    call.sum[c] = sum_over_rows(call.rows, dy);
    call.projected[c] = sum_over_rows(call.rows, [&](std::size_t r) {
      return dy(r) * (static_cast<double>(call.x[r * call.columns + c]) - call.mean[c]);
    });
  }
}

template <class T>
void normalise_backward(const NormaliseBackwardCall<T>& call) {
  for (std::size_t i = 0; i < call.rows * call.columns; ++i) {
    const std::size_t c = i % call.columns;
    const T dy = call.y == nullptr || call.y[i] > 0 ? call.dy[i] : T{0};
    call.dx[i] = (dy - call.mean_dy[c]) * call.scale[c] - (call.x[i] - call.mean[c]) * call.slope[c];
  }
}

template void column_moments(double*, double*, const float*, std::size_t, std::size_t);
template void column_moments(double*, double*, const double*, std::size_t, std::size_t);
template void normalise(const NormaliseCall<float>&);
template void normalise(const NormaliseCall<double>&);
template void derivative_sums(const DerivativeSumsCall<float>&);
template void derivative_sums(const DerivativeSumsCall<double>&);
template void normalise_backward(const NormaliseBackwardCall<float>&);
template void normalise_backward(const NormaliseBackwardCall<double>&);

}  // namespace trireme::kernels::reference
