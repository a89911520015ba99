// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/nadam.hpp"

#include "kernels/scalar/scalar.hpp"
#include "optim/device_updates.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {
namespace {

kernels::NadamRule rule_of(const NAdamOptions& options, double gradient_step, double moment_step, std::uint64_t step) {
  return {.gradient_step = gradient_step,
          .moment_step = moment_step,
          .beta1 = options.beta1,
          .beta2 = options.beta2,
          .epsilon = options.epsilon,
          .step = step};
}

}  // namespace

NAdam::NAdam(const NAdamOptions& options)
    : Optimizer("nadam", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("nadam", "beta1", options.beta1, 0.0, 1.0);
  optim::check_setting("nadam", "beta2", options.beta2, 0.0, 1.0);
  optim::check_setting("nadam", "epsilon", options.epsilon, 0.0);
  optim::check_setting("nadam", "momentum_decay", options.momentum_decay, 0.0);
  constexpr double log_of_096 = -0x1.4e69ed6d80eb3p-5;
  schedule_base_ = kernels::exponential(options.momentum_decay * log_of_096);
}

void NAdam::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  const Steps steps = steps_of(update.step, rates.learning_rate);
  kernels::update(optim::span_of(update, rates), rule_of(options_, steps.gradient, steps.moment, update.step));
}

bool NAdam::update_on_device(const optim::DeviceUpdates& updates) const {
  return optim::update_by_rule(updates, [this](const SpanUpdate& update, const OptimizerRates& rates) {
    const Steps steps = steps_of(update.step, rates.learning_rate);
    return rule_of(options_, steps.gradient, steps.moment, update.step);
  });
}

NAdam::Steps NAdam::steps_of(std::uint64_t step, double learning_rate) const noexcept {
  const double mu = momentum_at(step), next = momentum_at(step + 1);
  const double product = product_through(step);
  return {.gradient = learning_rate * (1.0 - mu) / (1.0 - product),
          .moment = learning_rate * next / (1.0 - product * next)};
}

double NAdam::momentum_at(std::uint64_t step) const noexcept {
  return options_.beta1 * (1.0 - 0.5 * kernels::power(schedule_base_, step));
}

double NAdam::product_through(std::uint64_t step) const noexcept {
  if (step < known_step_) {
    known_step_ = 0;
    known_product_ = 1.0;
  }
  while (known_step_ < step) known_product_ *= momentum_at(++known_step_);
  return known_product_;
}

}  // namespace trireme
