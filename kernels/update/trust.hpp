// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/kernel.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace trireme::kernels {

// How far LAMB and LARS trust a tensor's direction, from sums of squares over the whole tensor. On devices as on the
// host.

/// |p|/|u|; 1 where either is 0, or where anything overflowed; at most `most`.
TRIREME_DEVICE double trust_ratio(double parameter_squares, double direction_squares, double most) {
  const double ratio = std::sqrt(parameter_squares) / std::sqrt(direction_squares);
  return ratio > 0.0 && ratio < std::numeric_limits<double>::infinity() ? std::min(ratio, most) : 1.0;
}

/// trust*|p| / (|g| + weight_decay*|p| + epsilon); 1 where either is 0, or where anything overflowed.
TRIREME_DEVICE double local_rate(double parameter_squares, double gradient_squares, double trust, double weight_decay,
                                 double epsilon) {
  const double p = std::sqrt(parameter_squares), g = std::sqrt(gradient_squares);
  const double rate = trust * p / (g + weight_decay * p + epsilon);
  const bool finite = rate < std::numeric_limits<double>::infinity() && rate > -std::numeric_limits<double>::infinity();
  return p > 0.0 && g > 0.0 && finite ? rate : 1.0;
}

}  // namespace trireme::kernels
