// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/adadelta.hpp"

#include "optim/device_updates.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {
namespace {

kernels::AdadeltaRule rule_of(const AdadeltaOptions& options, const SpanUpdate&, const OptimizerRates& rates) {
  return {.learning_rate = rates.learning_rate, .rho = options.rho, .epsilon = options.epsilon};
}

}  // namespace

Adadelta::Adadelta(const AdadeltaOptions& options)
    : Optimizer("adadelta", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("adadelta", "rho", options.rho, 0.0, 1.0);
  optim::check_setting("adadelta", "epsilon", options.epsilon, 0.0);
}

void Adadelta::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::update(optim::span_of(update, rates), rule_of(options_, update, rates));
}

bool Adadelta::update_on_device(const optim::DeviceUpdates& updates) const {
  return optim::update_by_rule(updates, [this](const SpanUpdate& update, const OptimizerRates& rates) {
    return rule_of(options_, update, rates);
  });
}

}  // namespace trireme
