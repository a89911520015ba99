// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_lane_sum.hpp"
#include "kernels/layer_norm/layer_norm_device.hpp"

#include <cmath>

namespace trireme::kernels {
namespace {

using namespace on_device;

template <class T>
struct LayerNormBody {
  static constexpr const char* name = "trireme_layer_norm";
  static constexpr unsigned threads = LaneRows::threads;
  static constexpr unsigned phases = 3;
  struct Shared {
    double sums[LaneRows::rows][lanes];
    double squares[LaneRows::rows][lanes];
  };
  LayerNormCall<T> call;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    const LaneRows at(place);
    if (at.row >= call.rows) return;
    const std::size_t columns = call.columns;
    const auto divisor = static_cast<double>(columns);
    const T* x = call.x + at.row * columns;
    if constexpr (phase == 0) {
      shared.sums[at.in_block][at.lane] = lane_sum(at.lane, columns, [&](std::size_t i) { return x[i]; });
      return;
    }
    const double exact_mean = joined(shared.sums[at.in_block]) / divisor;
    if constexpr (phase == 1) {
      shared.squares[at.in_block][at.lane] = lane_sum(at.lane, columns, [&](std::size_t i) {
        const double distance = static_cast<double>(x[i]) - exact_mean;
        return distance * distance;
      });
    }
    if constexpr (phase == 2) {
      const auto mean = static_cast<T>(exact_mean);
      const auto inverse_root =
          static_cast<T>(1.0 / std::sqrt(joined(shared.squares[at.in_block]) / divisor + call.epsilon));
      if (at.lane == 0) {
        call.means[at.row] = mean;
        call.inverse_roots[at.row] = inverse_root;
      }
      T* y = call.y + at.row * columns;
      for (std::size_t c = at.lane; c < columns; c += lanes) {
        y[c] = (x[c] - mean) * inverse_root * call.gain[c] + call.bias[c];
      }
    }
  }
};

template <class T>
struct LayerNormBackwardBody {
  static constexpr const char* name = "trireme_layer_norm_backward";
  static constexpr unsigned threads = LaneRows::threads;
  static constexpr unsigned phases = 2;
  struct Shared {
    double sums[LaneRows::rows][lanes];
    double products[LaneRows::rows][lanes];
  };
  LayerNormBackwardCall<T> call;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    const LaneRows at(place);
    if (at.row >= call.rows) return;
    const std::size_t columns = call.columns;
    const T* x = call.x + at.row * columns;
    const T* dy = call.dy + at.row * columns;
    const T* gain = call.gain;
    const T mean = call.means[at.row];
    const T inverse_root = call.inverse_roots[at.row];
    if constexpr (phase == 0) {
      shared.sums[at.in_block][at.lane] = lane_sum(at.lane, columns, [&](std::size_t i) { return gain[i] * dy[i]; });
      shared.products[at.in_block][at.lane] = lane_sum(at.lane, columns, [&](std::size_t i) {
        return static_cast<double>(gain[i] * dy[i]) * static_cast<double>((x[i] - mean) * inverse_root);
      });
    } else {
      const auto divisor = static_cast<double>(columns);
      const auto mean_term = static_cast<T>(joined(shared.sums[at.in_block]) / divisor);
      const auto slope = static_cast<T>(joined(shared.products[at.in_block]) / divisor);
      T* dx = call.dx + at.row * columns;
      T* gain_terms = call.gain_terms + at.row * columns;
      for (std::size_t c = at.lane; c < columns; c += lanes) {
        const T normalised = (x[c] - mean) * inverse_root;
        gain_terms[c] = dy[c] * normalised;
        dx[c] = dx[c] + inverse_root * ((gain[c] * dy[c] - mean_term) - normalised * slope);
      }
    }
  }
};

}  // namespace

template <class T>
void layer_norm(const LayerNormCall<T>& call, device::Queue queue) {
  device::launch(queue, LayerNormBody<T>{call}, LaneRows::blocks(call.rows));
}
template <class T>
void layer_norm_backward(const LayerNormBackwardCall<T>& call, device::Queue queue) {
  device::launch(queue, LayerNormBackwardBody<T>{call}, LaneRows::blocks(call.rows));
}

template void layer_norm(const LayerNormCall<float>&, device::Queue);
template void layer_norm(const LayerNormCall<double>&, device::Queue);
template void layer_norm_backward(const LayerNormBackwardCall<float>&, device::Queue);
template void layer_norm_backward(const LayerNormBackwardCall<double>&, device::Queue);

void layer_norm_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<LayerNormBody<float>>());
  kernels.push_back(&device::entry_of<LayerNormBody<double>>());
  kernels.push_back(&device::entry_of<LayerNormBackwardBody<float>>());
  kernels.push_back(&device::entry_of<LayerNormBackwardBody<double>>());
}

}  // namespace trireme::kernels
