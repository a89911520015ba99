// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/rmsprop.hpp"

#include "optim/device_updates.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {
namespace {

kernels::RmspropRule rule_of(const RmsPropOptions& options, const SpanUpdate&, const OptimizerRates& rates) {
  return {.learning_rate = rates.learning_rate,
          .alpha = options.alpha,
          .epsilon = options.epsilon,
          .momentum = options.momentum,
          .centered = options.centered};
}

}  // namespace

RmsProp::RmsProp(const RmsPropOptions& options)
    : Optimizer("rmsprop", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("rmsprop", "alpha", options.alpha, 0.0, 1.0);
  optim::check_setting("rmsprop", "epsilon", options.epsilon, 0.0);
  optim::check_setting("rmsprop", "momentum", options.momentum, 0.0);
  if (options.momentum != 0.0) state_names_.push_back("momentum_buffer");
  if (options.centered) state_names_.push_back("grad_avg");
}

void RmsProp::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::update(optim::span_of(update, rates), rule_of(options_, update, rates));
}

bool RmsProp::update_on_device(const optim::DeviceUpdates& updates) const {
  return optim::update_by_rule(updates, [this](const SpanUpdate& update, const OptimizerRates& rates) {
    return rule_of(options_, update, rates);
  });
}

}  // namespace trireme
