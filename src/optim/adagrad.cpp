// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/adagrad.hpp"

#include "optim/device_updates.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {
namespace {

kernels::AdagradRule rule_of(const AdagradOptions& options, const SpanUpdate& update, const OptimizerRates& rates) {
  const double slowed = 1.0 + static_cast<double>(update.step - 1) * options.rate_decay;
  return {.learning_rate = rates.learning_rate / slowed,
          .epsilon = options.epsilon,
          .initial = options.initial_accumulator,
          .first_step = update.step == 1};
}

}  // namespace

Adagrad::Adagrad(const AdagradOptions& options)
    : Optimizer("adagrad", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("adagrad", "rate_decay", options.rate_decay, 0.0);
  optim::check_setting("adagrad", "initial_accumulator", options.initial_accumulator, 0.0);
  optim::check_setting("adagrad", "epsilon", options.epsilon, 0.0);
}

void Adagrad::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::update(optim::span_of(update, rates), rule_of(options_, update, rates));
}

bool Adagrad::update_on_device(const optim::DeviceUpdates& updates) const {
  return optim::update_by_rule(updates, [this](const SpanUpdate& update, const OptimizerRates& rates) {
    return rule_of(options_, update, rates);
  });
}

}  // namespace trireme
