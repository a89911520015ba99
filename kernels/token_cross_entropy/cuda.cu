// SPDX-License-Identifier: Apache-2.0
#define TRIREME_KERNELS_ISA device_arithmetic
#include "device/kernel.hpp"
#include "kernels/dense/exponential_of.hpp"
#include "kernels/device_lane_sum.hpp"
#include "kernels/token_cross_entropy/token_cross_entropy_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;
using device_arithmetic::ExponentialOf;
using device_arithmetic::Logarithm;

/// One block per row.
template <class T>
struct TokenCrossEntropyBody {
  static constexpr const char* name = "trireme_token_cross_entropy";
  static constexpr unsigned threads = 256;
  static constexpr unsigned some = 16;  // greatest values that are left after one step
  static constexpr unsigned phases = 6;
  static constexpr unsigned resident = sizeof(T) == 8 ? 4 : 0;  // more, and sm_100 keeps values in memory
  struct Shared {
    T greatest[threads];
    T greatest_of_some[some];
    double at_target;
    double sums[lanes];
  };
  TokenCrossEntropyCall<T> call;

  template <class Values>
  TRIREME_DEVICE static T greatest_of(const Values& values, unsigned first, unsigned count) {
    T greatest = values[first];
    for (unsigned i = first + 1; i < first + count; ++i) greatest = values[i] > greatest ? values[i] : greatest;
    return greatest;
  }

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    const std::size_t classes = call.classes;
    const T* logits = call.logits + std::size_t{place.block} * classes;
    T* gradient = call.gradient == nullptr ? nullptr : call.gradient + std::size_t{place.block} * classes;
    const std::size_t target = call.targets[place.block];
    const bool valid = target < classes;
    if constexpr (phase == 0) {
      T greatest = static_cast<T>(-__builtin_inf());
      for (std::size_t j = place.thread; j < classes; j += threads)
        greatest = logits[j] > greatest ? logits[j] : greatest;
      shared.greatest[place.thread] = greatest;
    }
    if constexpr (phase == 1) {
      if (place.thread < some) {
        constexpr unsigned each = threads / some;
        shared.greatest_of_some[place.thread] = greatest_of(shared.greatest, place.thread * each, each);
      }
    }
    if constexpr (phase == 2) {
      const T greatest = greatest_of(shared.greatest_of_some, 0, some);
      if (place.thread == 0) {
        shared.greatest[0] = greatest;
        shared.at_target =
            valid ? static_cast<double>(logits[target]) - static_cast<double>(greatest) : __builtin_nan("");
      }
    }
    if constexpr (phase == 3) {
      const T greatest = shared.greatest[0];
      if (gradient != nullptr) {
        for (std::size_t j = place.thread; j < classes; j += threads) {
          gradient[j] = ExponentialOf<T>::of(logits[j] - greatest);
        }
      } else if (place.thread < lanes) {
        shared.sums[place.thread] =
            lane_sum(place.thread, classes, [&](std::size_t j) { return ExponentialOf<T>::of(logits[j] - greatest); });
      }
    }
    if constexpr (phase == 4) {
      if (gradient != nullptr && place.thread < lanes) {
        shared.sums[place.thread] = lane_sum(place.thread, classes, [&](std::size_t j) { return gradient[j]; });
      }
    }
    if constexpr (phase == 5) {
      const double total = joined(shared.sums);
      if (place.thread == 0 && call.losses != nullptr) {
        call.losses[place.block] = Logarithm::of(total) - shared.at_target;
      }
      if (gradient == nullptr) return;
      const auto rows = static_cast<double>(call.rows);
      const auto factor = static_cast<T>(1.0 / (total * rows));
      for (std::size_t j = place.thread; j < classes; j += threads) {
        gradient[j] = valid && j == target ? static_cast<T>((static_cast<double>(gradient[j]) / total - 1.0) / rows)
                                           : gradient[j] * factor;
      }
    }
  }
};

}  // namespace

template <class T>
void token_cross_entropy(const TokenCrossEntropyCall<T>& call, device::Queue queue) {
  device::launch(queue, TokenCrossEntropyBody<T>{call}, static_cast<unsigned>(call.rows));
}

template void token_cross_entropy(const TokenCrossEntropyCall<float>&, device::Queue);
template void token_cross_entropy(const TokenCrossEntropyCall<double>&, device::Queue);

void token_cross_entropy_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<TokenCrossEntropyBody<float>>());
  kernels.push_back(&device::entry_of<TokenCrossEntropyBody<double>>());
}

}  // namespace trireme::kernels
