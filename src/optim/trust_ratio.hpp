// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>

namespace trireme::optim {

/// |p|/|u| from sums of squares; 1 where either is 0, or where anything overflowed; at most `most`.
inline double trust_ratio(double parameter_squares, double direction_squares, double most) {
  const double ratio = std::sqrt(parameter_squares) / std::sqrt(direction_squares);
  return ratio > 0.0 && std::isfinite(ratio) ? std::min(ratio, most) : 1.0;
}

}  // namespace trireme::optim
