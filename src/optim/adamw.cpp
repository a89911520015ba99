// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/adamw.hpp"

#include "kernels/adamw/adamw.hpp"
#include "optim/setting_check.hpp"

namespace trireme {

AdamW::AdamW(const AdamWOptions& options) : options_(options) {
  optim::check_setting("adamw", "learning_rate", options.learning_rate, 0.0);
  optim::check_setting("adamw", "beta1", options.beta1, 0.0, 1.0);
  optim::check_setting("adamw", "beta2", options.beta2, 0.0, 1.0);
  optim::check_setting("adamw", "epsilon", options.epsilon, 0.0);
  optim::check_setting("adamw", "weight_decay", options.weight_decay, 0.0);
}

void AdamW::set_learning_rate(double learning_rate) {
  optim::check_setting("adamw", "learning_rate", learning_rate, 0.0);
  options_.learning_rate = learning_rate;
}

void AdamW::update(const SpanUpdate& update) const noexcept {
  kernels::adamw({.dtype = update.value.dtype,
                  .parameter = update.value.data,
                  .gradient = update.gradient.data,
                  .first_moment = update.state[0].data,
                  .second_moment = update.state[1].data,
                  .count = update.value.count,
                  .step = update.step,
                  .learning_rate = options_.learning_rate,
                  .beta1 = options_.beta1,
                  .beta2 = options_.beta2,
                  .epsilon = options_.epsilon,
                  .weight_decay = options_.weight_decay,
                  .gradient_scale = update.gradient_scale});
}

}  // namespace trireme
