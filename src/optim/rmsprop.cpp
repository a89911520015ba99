// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/rmsprop.hpp"

#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {

RmsProp::RmsProp(const RmsPropOptions& options)
    : Optimizer("rmsprop", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("rmsprop", "alpha", options.alpha, 0.0, 1.0);
  optim::check_setting("rmsprop", "epsilon", options.epsilon, 0.0);
  optim::check_setting("rmsprop", "momentum", options.momentum, 0.0);
  if (options.momentum != 0.0) state_names_.push_back("momentum_buffer");
  if (options.centered) state_names_.push_back("grad_avg");
}

void RmsProp::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::update(optim::span_of(update, rates), kernels::RmspropRule{.learning_rate = rates.learning_rate,
                                                                      .alpha = options_.alpha,
                                                                      .epsilon = options_.epsilon,
                                                                      .momentum = options_.momentum,
                                                                      .centered = options_.centered});
}

}  // namespace trireme
