// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/adam.hpp"

#include "optim/device_updates.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {
namespace {

kernels::AdamRule rule_of(const AdamOptions& options, const SpanUpdate& update, const OptimizerRates& rates) {
  return {.learning_rate = rates.learning_rate,
          .beta1 = options.beta1,
          .beta2 = options.beta2,
          .epsilon = options.epsilon,
          .step = update.step};
}

}  // namespace

Adam::Adam(const AdamOptions& options)
    : Optimizer("adam", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("adam", "beta1", options.beta1, 0.0, 1.0);
  optim::check_setting("adam", "beta2", options.beta2, 0.0, 1.0);
  optim::check_setting("adam", "epsilon", options.epsilon, 0.0);
}

void Adam::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::update(optim::span_of(update, rates), rule_of(options_, update, rates));
}

bool Adam::update_on_device(const optim::DeviceUpdates& updates) const {
  return optim::update_by_rule(updates, [this](const SpanUpdate& update, const OptimizerRates& rates) {
    return rule_of(options_, update, rates);
  });
}

}  // namespace trireme
