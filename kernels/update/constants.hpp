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

SgdConstants constants_of(const SgdRule& rule) noexcept;
AdamConstants constants_of(const AdamRule& rule) noexcept;
NadamConstants constants_of(const NadamRule& rule) noexcept;
RmspropConstants constants_of(const RmspropRule& rule) noexcept;
AdagradConstants constants_of(const AdagradRule& rule) noexcept;
AdadeltaConstants constants_of(const AdadeltaRule& rule) noexcept;
LionConstants constants_of(const LionRule& rule) noexcept;
LambConstants constants_of(const LambRule& rule) noexcept;

}  // namespace trireme::kernels
