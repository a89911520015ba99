// SPDX-License-Identifier: Apache-2.0
#define TRIREME_KERNELS_ISA device_arithmetic
#include "device/kernel.hpp"
#include "kernels/dense/exponential_of.hpp"
#include "kernels/device_lane_sum.hpp"
#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;
using device_arithmetic::ExponentialOf;

/// One block per row.
template <class T>
struct RowMaximaBody {
  static constexpr const char* name = "trireme_row_maxima";
  static constexpr unsigned threads = 256;
  static constexpr unsigned some = 16;  // greatest values that are left after one step
  static constexpr unsigned phases = 3;
  /// A value, and when the host comes to it. Of equal values the first counts: of -0 and +0 too, which differ in their bits.
  struct Found {
    T value;
    std::size_t turn;
  };
  struct Shared {
    Found greatest[threads];
    Found greatest_of_some[some];
  };
  T* greatest;
  const T* logits;
  std::size_t columns;

  /// The host takes lane after lane (greatest_of() of lane_sum.hpp): those congruent mod 8; what is behind the last whole eight
  /// comes with the first.
  TRIREME_DEVICE std::size_t turn_of(std::size_t column) const {
    const std::size_t lane = column < columns / lanes * lanes ? column % lanes : 0;
    return lane * columns + column;
  }
  TRIREME_DEVICE static Found first_of_greatest(Found a, Found b) {
    return b.value > a.value || (b.value == a.value && b.turn < a.turn) ? b : a;
  }
  TRIREME_DEVICE static Found greatest_of(const Found* values, unsigned count) {
    Found found = values[0];
    for (unsigned i = 1; i < count; ++i) found = first_of_greatest(found, values[i]);
    return found;
  }

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    if constexpr (phase == 0) {
      const T* row = logits + std::size_t{place.block} * columns;
      Found found{static_cast<T>(-__builtin_inf()), lanes * columns};
      for (std::size_t j = place.thread; j < columns; j += threads) {
        if (!(row[j] < found.value)) found = first_of_greatest(found, {row[j], turn_of(j)});
      }
      shared.greatest[place.thread] = found;
    }
    if constexpr (phase == 1) {
      if (place.thread < some) {
        constexpr unsigned each = threads / some;
        shared.greatest_of_some[place.thread] = greatest_of(shared.greatest + place.thread * each, each);
      }
    }
    if constexpr (phase == 2) {
      if (place.thread == 0) greatest[place.block] = greatest_of(shared.greatest_of_some, some).value;
    }
  }
};

/// One block per row.
template <class T>
struct RowExponentialsBody {
  static constexpr const char* name = "trireme_row_exponentials";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 3;
  struct Shared {
    double sums[lanes];
  };
  T* values;
  double* sums;
  const T* shift;
  std::size_t columns;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    T* row = values + std::size_t{place.block} * columns;
    if constexpr (phase == 0) {
      const T greatest = shift[place.block];
      for (std::size_t j = place.thread; j < columns; j += threads) row[j] = ExponentialOf<T>::of(row[j] - greatest);
    }
    if constexpr (phase == 1) {
      if (place.thread < lanes)
        shared.sums[place.thread] = lane_sum(place.thread, columns, [&](std::size_t j) { return row[j]; });
    }
    if constexpr (phase == 2) {
      if (place.thread == 0) sums[place.block] = joined(shared.sums);
    }
  }
};

/// One block per row.
template <class T>
struct ScaleRowsBody {
  static constexpr const char* name = "trireme_scale_rows";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  struct Shared {};
  T* values;
  const double* factors;
  std::size_t columns;

  template <unsigned>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    T* row = values + std::size_t{place.block} * columns;
    const auto factor = static_cast<T>(factors[place.block]);
    for (std::size_t j = place.thread; j < columns; j += threads) row[j] = row[j] * factor;
  }
};

}  // namespace

template <class T>
void row_maxima(T* greatest, const T* logits, std::size_t rows, std::size_t columns, device::Queue queue) {
  device::launch(queue, RowMaximaBody<T>{greatest, logits, columns}, static_cast<unsigned>(rows));
}

template <class T>
void row_exponentials(T* values, double* sums, const T* shift, std::size_t rows, std::size_t columns,
                      device::Queue queue) {
  device::launch(queue, RowExponentialsBody<T>{values, sums, shift, columns}, static_cast<unsigned>(rows));
}

template <class T>
void scale_rows(T* values, const double* factors, std::size_t rows, std::size_t columns, device::Queue queue) {
  device::launch(queue, ScaleRowsBody<T>{values, factors, columns}, static_cast<unsigned>(rows));
}

template void row_maxima(float*, const float*, std::size_t, std::size_t, device::Queue);
template void row_maxima(double*, const double*, std::size_t, std::size_t, device::Queue);
template void row_exponentials(float*, double*, const float*, std::size_t, std::size_t, device::Queue);
template void row_exponentials(double*, double*, const double*, std::size_t, std::size_t, device::Queue);
template void scale_rows(float*, const double*, std::size_t, std::size_t, device::Queue);
template void scale_rows(double*, const double*, std::size_t, std::size_t, device::Queue);

void vocabulary_cross_entropy_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<RowMaximaBody<float>>());
  kernels.push_back(&device::entry_of<RowMaximaBody<double>>());
  kernels.push_back(&device::entry_of<RowExponentialsBody<float>>());
  kernels.push_back(&device::entry_of<RowExponentialsBody<double>>());
  kernels.push_back(&device::entry_of<ScaleRowsBody<float>>());
  kernels.push_back(&device::entry_of<ScaleRowsBody<double>>());
}

}  // namespace trireme::kernels
