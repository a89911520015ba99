// SPDX-License-Identifier: Apache-2.0
#include "parallel/gradient_norm.hpp"

#include "kernels/float_environment.hpp"
#include "kernels/norm/norm.hpp"

#include <cmath>

namespace trireme::parallel {

double global_norm(std::span<const TensorView> gradients) {
  const kernels::FloatEnvironment environment;
  kernels::TreeSum total;
  for (const auto& each : gradients) total.add(kernels::sum_of_squares(each.data, each.dtype, each.count));
  return std::sqrt(total.result());
}

double clip_scale(double norm, double clip_norm) {
  return std::isfinite(norm) && norm > clip_norm ? clip_norm / norm : 1.0;
}

}  // namespace trireme::parallel
