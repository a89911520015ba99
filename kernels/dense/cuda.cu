// SPDX-License-Identifier: Apache-2.0
#define TRIREME_KERNELS_ISA device_arithmetic
#include "device/kernel.hpp"
#include "kernels/dense/dense_device.hpp"
#include "kernels/dense/exponential.hpp"
#include "kernels/device_lane_sum.hpp"
#include "kernels/device_loops.hpp"
#include "kernels/device_tree_sum.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;
using device_arithmetic::Exponential;
using device_arithmetic::Logarithm;

template <class T, bool relu>
struct AddBias {
  static constexpr const char* name = relu ? "trireme_add_bias_relu" : "trireme_add_bias";
  static constexpr unsigned run_length = wide<T>;
  T* values;
  const T* bias;
  std::size_t columns;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    Wide<T, n> value = load<n>(values + i);
    const Wide<T, n> own = load<n>(bias + column_of(i, columns));
    for (unsigned k = 0; k < n; ++k) {
      const T sum = value.at[k] + own.at[k];
      value.at[k] = relu && sum < T{0} ? T{0} : sum;
    }
    store(values + i, value);
  }
};

template <class T>
struct ReluBackward {
  static constexpr const char* name = "trireme_relu_backward";
  static constexpr unsigned run_length = wide<T>;
  T* dx;
  const T* dy;
  const T* activation;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    Wide<T, n> value = load<n>(dy + i);
    const Wide<T, n> passed = load<n>(activation + i);
    for (unsigned k = 0; k < n; ++k) value.at[k] = passed.at[k] > T{0} ? value.at[k] : T{0};
    store(dx + i, value);
  }
};

template <class T>
struct MatrixColumns {
  static constexpr const char* name = "trireme_column_sum";
  using Value = T;
  T* result;
  const T* matrix;
  std::size_t columns;
  TRIREME_DEVICE T term(std::size_t, std::size_t row, std::size_t column) const {
    return matrix[row * columns + column];
  }
  TRIREME_DEVICE void finish(std::size_t, std::size_t column, T sum) const { result[column] = sum; }
};

template <class T>
struct SoftmaxBody {
  static constexpr const char* name = "trireme_softmax_cross_entropy";
  static constexpr unsigned threads = LaneRows::threads;
  static constexpr unsigned phases = 3;
  struct Shared {
    std::uint32_t best[LaneRows::rows][lanes];  // class of the greatest logit of a lane; `classes`: none
    double sums[LaneRows::rows][lanes];
    double shift[LaneRows::rows];
    double at_label[LaneRows::rows];  // the label's logit, shifted
  };
  DeviceSoftmaxCrossEntropyCall<T> call;

  /// The first of the greatest; a NaN is only so in the first place, as in a search from there.
  TRIREME_DEVICE std::uint32_t greatest(const T* logits, const std::uint32_t (&of_lanes)[lanes]) const {
    if (logits[0] != logits[0]) return 0;
    std::uint32_t best = of_lanes[0];
    for (unsigned j = 1; j < lanes; ++j) {
      const std::uint32_t other = of_lanes[j];
      if (other == call.classes) continue;
      const T value = logits[other];
      if (value > logits[best] || (value == logits[best] && other < best)) best = other;
    }
    return best;
  }

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    const LaneRows at(place);
    if (at.row >= call.rows) return;
    const auto classes = static_cast<std::uint32_t>(call.classes);
    const T* logits = call.logits + at.row * classes;
    if constexpr (phase == 0) {
      std::uint32_t best = classes;
      for (std::uint32_t j = at.lane; j < classes; j += lanes) {
        if (best == classes ? logits[j] == logits[j] : logits[j] > logits[best]) best = j;
      }
      shared.best[at.in_block][at.lane] = best;
      return;
    }
    const std::uint32_t label = call.labels[at.row];
    if constexpr (phase == 1) {
      const std::uint32_t best = greatest(logits, shared.best[at.in_block]);
      const auto shift = static_cast<double>(logits[best]);
      shared.sums[at.in_block][at.lane] = lane_sum(
          at.lane, classes, [&](std::size_t j) { return Exponential::of(static_cast<double>(logits[j]) - shift); });
      if (at.lane != 0) return;
      shared.shift[at.in_block] = shift;
      shared.at_label[at.in_block] = label < classes ? static_cast<double>(logits[label]) - shift : 0.0;
      if (call.hits != nullptr) call.hits[at.row] = best == label ? 1 : 0;
    }
    if constexpr (phase == 2) {  // where the gradient lies on the logits, each thread has only its own left to read
      const double sum = joined(shared.sums[at.in_block]);
      if (at.lane == 0 && call.losses != nullptr) {
        call.losses[at.row] = label < classes ? Logarithm::of(sum) - shared.at_label[at.in_block] : __builtin_nan("");
      }
      if (call.gradient == nullptr) return;
      T* gradient = call.gradient + at.row * classes;
      const double shift = shared.shift[at.in_block];
      const auto rows = static_cast<double>(call.rows);
      for (std::uint32_t j = at.lane; j < classes; j += lanes) {
        const double e = Exponential::of(static_cast<double>(logits[j]) - shift);
        gradient[j] = static_cast<T>((e / sum - (j == label ? 1.0 : 0.0)) / rows);
      }
    }
  }
};

template <class T>
void add_entries(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(elements_entry<AddBias<T, false>>());
  kernels.push_back(elements_entry<AddBias<T, true>>());
  kernels.push_back(elements_entry<ReluBackward<T>>());
  kernels.push_back(columns_entry<MatrixColumns<T>>());
  kernels.push_back(&device::entry_of<SoftmaxBody<T>>());
}

}  // namespace

template <class T>
void add_bias(T* values, const T* bias, std::size_t rows, std::size_t columns, device::Queue queue) {
  launch_elements(queue, AddBias<T, false>{values, bias, columns}, rows * columns,
                  columns % wide<T> == 0 && aligned(values, bias));
}
template <class T>
void add_bias_relu(T* values, const T* bias, std::size_t rows, std::size_t columns, device::Queue queue) {
  launch_elements(queue, AddBias<T, true>{values, bias, columns}, rows * columns,
                  columns % wide<T> == 0 && aligned(values, bias));
}
template <class T>
void relu_backward(T* dx, const T* dy, const T* activation, std::size_t count, device::Queue queue) {
  launch_elements(queue, ReluBackward<T>{dx, dy, activation}, count, aligned(dx, dy, activation));
}
template <class T>
void column_sum(T* result, const T* matrix, std::size_t rows, std::size_t columns, device::Queue queue) {
  launch_columns(queue, MatrixColumns<T>{result, matrix, columns}, 1, rows, columns);
}
template <class T>
void softmax_cross_entropy(const DeviceSoftmaxCrossEntropyCall<T>& call, device::Queue queue) {
  device::launch(queue, SoftmaxBody<T>{call}, LaneRows::blocks(call.rows));
}

template void add_bias(float*, const float*, std::size_t, std::size_t, device::Queue);
template void add_bias(double*, const double*, std::size_t, std::size_t, device::Queue);
template void add_bias_relu(float*, const float*, std::size_t, std::size_t, device::Queue);
template void add_bias_relu(double*, const double*, std::size_t, std::size_t, device::Queue);
template void relu_backward(float*, const float*, const float*, std::size_t, device::Queue);
template void relu_backward(double*, const double*, const double*, std::size_t, device::Queue);
template void column_sum(float*, const float*, std::size_t, std::size_t, device::Queue);
template void column_sum(double*, const double*, std::size_t, std::size_t, device::Queue);
template void softmax_cross_entropy(const DeviceSoftmaxCrossEntropyCall<float>&, device::Queue);
template void softmax_cross_entropy(const DeviceSoftmaxCrossEntropyCall<double>&, device::Queue);

void dense_kernels(std::vector<const device::KernelEntry*>& kernels) {
  add_entries<float>(kernels);
  add_entries<double>(kernels);
}

}  // namespace trireme::kernels
