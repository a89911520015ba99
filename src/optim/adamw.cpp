// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/adamw.hpp"

#include "optim/device_updates.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {
namespace {

kernels::AdamRule rule_of(const AdamWOptions& options, const SpanUpdate& update, const OptimizerRates& rates) {
  return {.learning_rate = rates.learning_rate,
          .beta1 = options.beta1,
          .beta2 = options.beta2,
          .epsilon = options.epsilon,
          .step = update.step};
}

}  // namespace

AdamW::AdamW(const AdamWOptions& options)
    : Optimizer("adamw", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("adamw", "beta1", options.beta1, 0.0, 1.0);
  optim::check_setting("adamw", "beta2", options.beta2, 0.0, 1.0);
  optim::check_setting("adamw", "epsilon", options.epsilon, 0.0);
}

void AdamW::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::update(optim::span_of(update, rates), rule_of(options_, update, rates));
}

bool AdamW::update_on_device(const optim::DeviceUpdates& updates) const {
  return optim::update_by_rule(updates, [this](const SpanUpdate& update, const OptimizerRates& rates) {
    return rule_of(options_, update, rates);
  });
}

}  // namespace trireme
