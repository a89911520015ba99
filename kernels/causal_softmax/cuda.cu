// SPDX-License-Identifier: Apache-2.0
#define TRIREME_KERNELS_ISA device_arithmetic
#include "kernels/causal_softmax/causal_softmax_device.hpp"
#include "kernels/dense/exponential_of.hpp"
#include "kernels/device_lane_sum.hpp"
#include "kernels/device_loops.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;
using device_arithmetic::ExponentialOf;

template <class T>
struct CausalSoftmaxBody {
  static constexpr const char* name = "trireme_causal_softmax";
  static constexpr unsigned threads = LaneRows::threads;
  static constexpr unsigned phases = 3;
  struct Shared {
    T greatest[LaneRows::rows][lanes];
    double sums[LaneRows::rows][lanes];
  };
  T* values;
  std::size_t rows;
  std::size_t length;
  T scale;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    const LaneRows at(place);
    if (at.row >= rows) return;
    T* row = values + at.row * length;
    const std::size_t count = column_of(at.row, length) + 1;
    if constexpr (phase == 0) {
      T greatest = static_cast<T>(-__builtin_inf());
      for (std::size_t j = at.lane; j < count; j += lanes) greatest = row[j] > greatest ? row[j] : greatest;
      shared.greatest[at.in_block][at.lane] = greatest;
    }
    if constexpr (phase == 1) {
      T greatest = shared.greatest[at.in_block][0];
      for (unsigned j = 1; j < lanes; ++j) {
        const T other = shared.greatest[at.in_block][j];
        greatest = other > greatest ? other : greatest;
      }
      const T shift = greatest * scale;
      shared.sums[at.in_block][at.lane] = lane_sum(
          at.lane, count, [&](std::size_t j) { return row[j] = ExponentialOf<T>::of(row[j] * scale - shift); });
    }
    if constexpr (phase == 2) {
      const auto inverse = static_cast<T>(1.0 / joined(shared.sums[at.in_block]));
      for (std::size_t j = at.lane; j < length; j += lanes) row[j] = j < count ? row[j] * inverse : T{0};
    }
  }
};

template <class T>
struct CausalSoftmaxBackwardBody {
  static constexpr const char* name = "trireme_causal_softmax_backward";
  static constexpr unsigned threads = LaneRows::threads;
  static constexpr unsigned phases = 2;
  struct Shared {
    double sums[LaneRows::rows][lanes];
  };
  T* gradient;
  const T* weights;
  std::size_t rows;
  std::size_t length;
  T scale;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    const LaneRows at(place);
    if (at.row >= rows) return;
    const T* p = weights + at.row * length;
    T* d = gradient + at.row * length;
    const std::size_t count = column_of(at.row, length) + 1;
    if constexpr (phase == 0) {
      shared.sums[at.in_block][at.lane] = lane_sum(
          at.lane, count, [&](std::size_t j) { return static_cast<double>(p[j]) * static_cast<double>(d[j]); });
    } else {
      const auto mean = static_cast<T>(joined(shared.sums[at.in_block]));
      for (std::size_t j = at.lane; j < length; j += lanes) d[j] = j < count ? scale * (p[j] * (d[j] - mean)) : T{0};
    }
  }
};

}  // namespace

template <class T>
void causal_softmax(T* values, std::size_t matrices, std::size_t length, T scale, device::Queue queue) {
  const std::size_t rows = matrices * length;
  device::launch(queue, CausalSoftmaxBody<T>{values, rows, length, scale}, LaneRows::blocks(rows));
}
template <class T>
void causal_softmax_backward(T* gradient, const T* weights, std::size_t matrices, std::size_t length, T scale,
                             device::Queue queue) {
  const std::size_t rows = matrices * length;
  device::launch(queue, CausalSoftmaxBackwardBody<T>{gradient, weights, rows, length, scale}, LaneRows::blocks(rows));
}

template void causal_softmax(float*, std::size_t, std::size_t, float, device::Queue);
template void causal_softmax(double*, std::size_t, std::size_t, double, device::Queue);
template void causal_softmax_backward(float*, const float*, std::size_t, std::size_t, float, device::Queue);
template void causal_softmax_backward(double*, const double*, std::size_t, std::size_t, double, device::Queue);

void causal_softmax_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<CausalSoftmaxBody<float>>());
  kernels.push_back(&device::entry_of<CausalSoftmaxBody<double>>());
  kernels.push_back(&device::entry_of<CausalSoftmaxBackwardBody<float>>());
  kernels.push_back(&device::entry_of<CausalSoftmaxBackwardBody<double>>());
}

}  // namespace trireme::kernels
