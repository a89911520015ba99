// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/lion.hpp"

#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {

Lion::Lion(const LionOptions& options)
    : Optimizer("lion", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("lion", "beta1", options.beta1, 0.0, 1.0);
  optim::check_setting("lion", "beta2", options.beta2, 0.0, 1.0);
}

void Lion::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::update(
      optim::span_of(update, rates),
      kernels::LionRule{.learning_rate = rates.learning_rate, .beta1 = options_.beta1, .beta2 = options_.beta2});
}

}  // namespace trireme
