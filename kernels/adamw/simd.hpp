// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/adamw/adamw.hpp"

namespace trireme::kernels {

/// What one step computes from the hyperparameters alone, in f64.
struct AdamWScalars {
  double gradient_scale;
  double keep;  ///< 1 - lr*wd
  double beta1;
  double beta1_complement;  ///< 1 - b1
  double beta2;
  double beta2_complement;  ///< 1 - b2
  double step_size;         ///< lr/(1-b1^t)
  double correction2;       ///< sqrt(1-b2^t)
  double epsilon;
};

// One definition per instruction set, from the same simd.cpp.
namespace portable {
void adamw(const AdamWCall& call, const AdamWScalars& scalars) noexcept;
}
namespace avx2 {
void adamw(const AdamWCall& call, const AdamWScalars& scalars) noexcept;
}

}  // namespace trireme::kernels
