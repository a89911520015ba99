// SPDX-License-Identifier: Apache-2.0
#include "kernels/update/constants.hpp"

#include "kernels/scalar/scalar.hpp"

#include <cassert>
#include <cmath>

namespace trireme::kernels {
namespace {

double correction2_of(double beta2, std::uint64_t step) noexcept { return std::sqrt(1.0 - power(beta2, step)); }

}  // namespace

SgdConstants constants_of(const SgdRule& rule) noexcept {
  return {rule.learning_rate, rule.momentum, 1.0 - rule.dampening, rule.first_step, rule.nesterov};
}

AdamConstants constants_of(const AdamRule& rule) noexcept {
  assert(rule.step >= 1);
  return {rule.beta1,
          1.0 - rule.beta1,
          rule.beta2,
          1.0 - rule.beta2,
          rule.learning_rate / (1.0 - power(rule.beta1, rule.step)),
          correction2_of(rule.beta2, rule.step),
          rule.epsilon};
}

NadamConstants constants_of(const NadamRule& rule) noexcept {
  assert(rule.step >= 1);
  return {rule.beta1,
          1.0 - rule.beta1,
          rule.beta2,
          1.0 - rule.beta2,
          rule.gradient_step,
          rule.moment_step,
          correction2_of(rule.beta2, rule.step),
          rule.epsilon};
}

RmspropConstants constants_of(const RmspropRule& rule) noexcept {
  return {rule.learning_rate, rule.alpha, 1.0 - rule.alpha, rule.epsilon, rule.momentum, rule.centered};
}

AdagradConstants constants_of(const AdagradRule& rule) noexcept {
  return {rule.learning_rate, rule.epsilon, rule.initial, rule.first_step};
}

AdadeltaConstants constants_of(const AdadeltaRule& rule) noexcept {
  return {rule.learning_rate, rule.rho, 1.0 - rule.rho, rule.epsilon};
}

LionConstants constants_of(const LionRule& rule) noexcept {
  return {rule.learning_rate, rule.beta1, 1.0 - rule.beta1, rule.beta2, 1.0 - rule.beta2};
}

LambConstants constants_of(const LambRule& rule) noexcept {
  assert(rule.step >= 1);
  return {rule.beta1,
          1.0 - rule.beta1,
          rule.beta2,
          1.0 - rule.beta2,
          1.0 / (1.0 - power(rule.beta1, rule.step)),
          correction2_of(rule.beta2, rule.step),
          rule.epsilon,
          rule.weight_decay,
          rule.step_size};
}

}  // namespace trireme::kernels
