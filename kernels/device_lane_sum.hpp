// SPDX-License-Identifier: Apache-2.0
// Sums in eight lanes on devices, in the brackets of lane_sum.hpp: eight threads for a row, one for each lane.
#pragma once

#include "device/kernel.hpp"

#include <cstddef>

namespace trireme::kernels::on_device {

inline constexpr unsigned lanes = 8;

/// What lane `lane` adds: term(i) for i congruent to it mod 8 in ascending order, from +0.
template <class Term>
TRIREME_DEVICE double lane_sum(unsigned lane, std::size_t count, Term term) {
  double sum = 0.0;
  for (std::size_t i = lane; i < count; i += lanes) sum = sum + static_cast<double>(term(i));
  return sum;
}

/// The sum of the lanes.
TRIREME_DEVICE double joined(const double (&sums)[lanes]) {
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/// Rows of a block, and where a thread stands.
struct LaneRows {
  static constexpr unsigned threads = 256;
  static constexpr unsigned rows = threads / lanes;
  std::size_t row;
  unsigned in_block;
  unsigned lane;
  TRIREME_DEVICE explicit LaneRows(device::Place place)
      : row(std::size_t{place.block} * rows + place.thread / lanes),
        in_block(place.thread / lanes),
        lane(place.thread % lanes) {}
  static unsigned blocks(std::size_t count) { return static_cast<unsigned>((count + rows - 1) / rows); }
};

}  // namespace trireme::kernels::on_device
