// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/sgd.hpp"

#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {

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
  kernels::update(optim::span_of(update, rates), kernels::SgdRule{.learning_rate = rates.learning_rate,
                                                                  .momentum = options_.momentum,
                                                                  .dampening = options_.dampening,
                                                                  .nesterov = options_.nesterov,
                                                                  .first_step = update.step == 1});
}

}  // namespace trireme
