// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/tensor_layout.hpp"

#include <cstddef>
#include <vector>

namespace trireme::layout {

/// One step: the placement on `axis` becomes `placement`.
struct Move {
  std::size_t axis;
  Placement placement;
};

/// The cheapest sequence of steps from one layout to the other; see Conversion.
std::vector<Move> cheapest_path(const TensorLayout& from, const TensorLayout& to);

}  // namespace trireme::layout
