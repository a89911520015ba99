// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/adadelta.hpp"

#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {

Adadelta::Adadelta(const AdadeltaOptions& options)
    : Optimizer("adadelta", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("adadelta", "rho", options.rho, 0.0, 1.0);
  optim::check_setting("adadelta", "epsilon", options.epsilon, 0.0);
}

void Adadelta::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::update(
      optim::span_of(update, rates),
      kernels::AdadeltaRule{.learning_rate = rates.learning_rate, .rho = options_.rho, .epsilon = options_.epsilon});
}

}  // namespace trireme
