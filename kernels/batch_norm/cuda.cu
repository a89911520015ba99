// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch_norm/batch_norm_device.hpp"
#include "kernels/device_loops.hpp"
#include "kernels/device_tree_sum.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

constexpr std::size_t block_rows = 64;

/// The sum of term(row) over one block of rows, in ascending order from +0.
template <class Term>
TRIREME_DEVICE double block_sum(std::size_t block, std::size_t rows, Term term) {
  const std::size_t begin = block * block_rows;
  const std::size_t end = rows - begin < block_rows ? rows : begin + block_rows;
  double sum = 0.0;
  for (std::size_t r = begin; r < end; ++r) sum = sum + term(r);
  return sum;
}

std::size_t blocks_of(std::size_t rows) { return (rows + block_rows - 1) / block_rows; }

template <class T>
struct Means {
  static constexpr const char* name = "trireme_column_means";
  using Value = double;
  double* mean;
  const T* x;
  std::size_t rows, columns;
  TRIREME_DEVICE double term(std::size_t, std::size_t block, std::size_t c) const {
    return block_sum(block, rows, [&](std::size_t r) { return static_cast<double>(x[r * columns + c]); });
  }
  TRIREME_DEVICE void finish(std::size_t, std::size_t c, double sum) const {
    mean[c] = sum / static_cast<double>(rows);
  }
};

template <class T>
struct Squares {
  static constexpr const char* name = "trireme_column_squares";
  using Value = double;
  double* squares;
  const double* mean;
  const T* x;
  std::size_t rows, columns;
  TRIREME_DEVICE double term(std::size_t, std::size_t block, std::size_t c) const {
    const double centre = mean[c];
    return block_sum(block, rows, [&](std::size_t r) {
      const double difference = static_cast<double>(x[r * columns + c]) - centre;
      return difference * difference;
    });
  }
  TRIREME_DEVICE void finish(std::size_t, std::size_t c, double sum) const { squares[c] = sum; }
};

struct Two {
  double sum, projected;
  TRIREME_DEVICE friend Two operator+(const Two& a, const Two& b) { return {a.sum + b.sum, a.projected + b.projected}; }
};

template <class T>
struct DerivativeSums {
  static constexpr const char* name = "trireme_derivative_sums";
  using Value = Two;
  DerivativeSumsCall<T> call;
  TRIREME_DEVICE Two term(std::size_t, std::size_t block, std::size_t c) const {
    const double centre = call.mean[c];
    const std::size_t begin = block * block_rows;
    const std::size_t end = call.rows - begin < block_rows ? call.rows : begin + block_rows;
    Two sums{0.0, 0.0};
    for (std::size_t r = begin; r < end; ++r) {
      const std::size_t i = r * call.columns + c;
      const double dy = call.y == nullptr || call.y[i] > T{0} ? static_cast<double>(call.dy[i]) : 0.0;
      sums.sum = sums.sum + dy;
      sums.projected = sums.projected + dy * (static_cast<double>(call.x[i]) - centre);
    }
    return sums;
  }
  TRIREME_DEVICE void finish(std::size_t, std::size_t c, const Two& sums) const {
    call.sum[c] = sums.sum;
    call.projected[c] = sums.projected;
  }
};

template <class T>
struct Normalise {
  static constexpr const char* name = "trireme_normalise";
  static constexpr unsigned run_length = wide<T>;
  NormaliseCall<T> call;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const std::size_t c = column_of(i, call.columns);
    Wide<T, n> value = load<n>(call.x + i);
    const Wide<T, n> mean = load<n>(call.mean + c), scale = load<n>(call.scale + c), shift = load<n>(call.shift + c);
    for (unsigned k = 0; k < n; ++k) {
      const T y = (value.at[k] - mean.at[k]) * scale.at[k] + shift.at[k];
      value.at[k] = call.relu && y < T{0} ? T{0} : y;
    }
    store(call.y + i, value);
  }
};

template <class T>
struct NormaliseBackward {
  static constexpr const char* name = "trireme_normalise_backward";
  static constexpr unsigned run_length = wide<T>;
  NormaliseBackwardCall<T> call;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const std::size_t c = column_of(i, call.columns);
    Wide<T, n> value = load<n>(call.dy + i);
    const Wide<T, n> x = load<n>(call.x + i);
    if (call.y != nullptr) {
      const Wide<T, n> y = load<n>(call.y + i);
      for (unsigned k = 0; k < n; ++k) value.at[k] = y.at[k] > T{0} ? value.at[k] : T{0};
    }
    const Wide<T, n> mean = load<n>(call.mean + c), scale = load<n>(call.scale + c);
    const Wide<T, n> mean_dy = load<n>(call.mean_dy + c), slope = load<n>(call.slope + c);
    for (unsigned k = 0; k < n; ++k) {
      value.at[k] = (value.at[k] - mean_dy.at[k]) * scale.at[k] - (x.at[k] - mean.at[k]) * slope.at[k];
    }
    store(call.dx + i, value);
  }
};

template <class T>
void add_entries(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(columns_entry<Means<T>>());
  kernels.push_back(columns_entry<Squares<T>>());
  kernels.push_back(columns_entry<DerivativeSums<T>>());
  kernels.push_back(elements_entry<Normalise<T>>());
  kernels.push_back(elements_entry<NormaliseBackward<T>>());
}

}  // namespace

template <class T>
void column_moments(double* mean, double* squares, const T* x, std::size_t rows, std::size_t columns,
                    device::Queue queue) {
  launch_columns(queue, Means<T>{mean, x, rows, columns}, 1, blocks_of(rows), columns);
  launch_columns(queue, Squares<T>{squares, mean, x, rows, columns}, 1, blocks_of(rows), columns);
}
template <class T>
void normalise(const NormaliseCall<T>& call, device::Queue queue) {
  launch_elements(queue, Normalise<T>{call}, call.rows * call.columns,
                  call.columns % wide<T> == 0 && aligned(call.y, call.x, call.mean, call.scale, call.shift));
}
template <class T>
void derivative_sums(const DerivativeSumsCall<T>& call, device::Queue queue) {
  launch_columns(queue, DerivativeSums<T>{call}, 1, blocks_of(call.rows), call.columns);
}
template <class T>
void normalise_backward(const NormaliseBackwardCall<T>& call, device::Queue queue) {
  launch_elements(queue, NormaliseBackward<T>{call}, call.rows * call.columns,
                  call.columns % wide<T> == 0 &&
                      aligned(call.dx, call.dy, call.x, call.y, call.mean, call.scale, call.mean_dy, call.slope));
}

template void column_moments(double*, double*, const float*, std::size_t, std::size_t, device::Queue);
template void column_moments(double*, double*, const double*, std::size_t, std::size_t, device::Queue);
template void normalise(const NormaliseCall<float>&, device::Queue);
template void normalise(const NormaliseCall<double>&, device::Queue);
template void derivative_sums(const DerivativeSumsCall<float>&, device::Queue);
template void derivative_sums(const DerivativeSumsCall<double>&, device::Queue);
template void normalise_backward(const NormaliseBackwardCall<float>&, device::Queue);
template void normalise_backward(const NormaliseBackwardCall<double>&, device::Queue);

void batch_norm_kernels(std::vector<const device::KernelEntry*>& kernels) {
  add_entries<float>(kernels);
  add_entries<double>(kernels);
}

}  // namespace trireme::kernels
