// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"

#include <span>

namespace trireme::parallel {

/// sqrt of the sum of the squares of all elements of `gradients`, in f64: blocks of 4096 elements of each tensor, blocks
/// by the balanced tree, then tensors in list order by the balanced tree.
double global_norm(std::span<const TensorView> gradients);

/// The factor that brings `norm` down to `clip_norm`: 1 when it is not above (or not finite: nothing to scale to).
double clip_scale(double norm, double clip_norm);

}  // namespace trireme::parallel
