// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/update/update.hpp"

namespace trireme::kernels {

// What one step computes from the settings alone, in f64.
struct SgdConstants {
  double learning_rate, momentum, undamped;
  bool first_step, nesterov;
};
struct AdamConstants {
  double beta1, beta1_complement, beta2, beta2_complement;
  double step_size;    ///< lr/(1-b1^t)
  double correction2;  ///< sqrt(1-b2^t)
  double epsilon;
};
struct NadamConstants {
  double beta1, beta1_complement, beta2, beta2_complement, gradient_step, moment_step, correction2, epsilon;
};
struct RmspropConstants {
  double learning_rate, alpha, alpha_complement, epsilon, momentum;
  bool centered;
};
struct AdagradConstants {
  double learning_rate, epsilon, initial;
  bool first_step;
};
struct AdadeltaConstants {
  double learning_rate, rho, rho_complement, epsilon;
};
struct LionConstants {
  double learning_rate, beta1, beta1_complement, beta2, beta2_complement;
};
struct LambConstants {
  double beta1, beta1_complement, beta2, beta2_complement;
  double correction1;  ///< 1/(1-b1^t)
  double correction2, epsilon, weight_decay, step_size;
};

// One definition per instruction set, from the same simd.cpp. The gradient is of the span's dtype; `copy` is not looked at.
#define TRIREME_KERNELS_UPDATE_LOOPS                                                           \
  void update(const UpdateSpan& span, const SgdConstants& constants) noexcept;                 \
  void update(const UpdateSpan& span, const AdamConstants& constants) noexcept;                \
  void update(const UpdateSpan& span, const NadamConstants& constants) noexcept;               \
  void update(const UpdateSpan& span, const RmspropConstants& constants) noexcept;             \
  void update(const UpdateSpan& span, const AdagradConstants& constants) noexcept;             \
  void update(const UpdateSpan& span, const AdadeltaConstants& constants) noexcept;            \
  void update(const UpdateSpan& span, const LionConstants& constants) noexcept;                \
  void update(const UpdateSpan& span, const LambConstants& constants) noexcept;                \
  /* m and v move; the directions go to `directions`, which has the span's dtype and count. */ \
  void lamb_directions(const UpdateSpan& span, const LambConstants& constants, void* directions) noexcept;
namespace portable {
TRIREME_KERNELS_UPDATE_LOOPS
}
namespace avx2 {
TRIREME_KERNELS_UPDATE_LOOPS
}
#undef TRIREME_KERNELS_UPDATE_LOOPS

}  // namespace trireme::kernels
