// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/sgd.hpp"

#include "optim/device_updates.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {
namespace {

kernels::SgdRule rule_of(const SgdOptions& options, const SpanUpdate& update, const OptimizerRates& rates) {
  return {.learning_rate = rates.learning_rate,
          .momentum = options.momentum,
          .dampening = options.dampening,
          .nesterov = options.nesterov,
          .first_step = update.step == 1};
}

}  // namespace

Sgd::Sgd(const SgdOptions& options)
    : Optimizer("sgd", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("sgd", "momentum", options.momentum, 0.0);
  optim::check_setting("sgd", "dampening", options.dampening, 0.0);
  if (options.nesterov && (options.momentum == 0.0 || options.dampening != 0.0)) {
    fail(ErrorCode::invalid_argument, "sgd: nesterov needs momentum above 0 and dampening 0");
  }
  if (options.momentum != 0.0) state_names_.push_back("momentum_buffer");
}

void Sgd::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::update(optim::span_of(update, rates), rule_of(options_, update, rates));
}

bool Sgd::update_on_device(const optim::DeviceUpdates& updates) const {
  return optim::update_by_rule(updates, [this](const SpanUpdate& update, const OptimizerRates& rates) {
    return rule_of(options_, update, rates);
  });
}

}  // namespace trireme
