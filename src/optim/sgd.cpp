// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/sgd.hpp"

#include "kernels/sgd/sgd.hpp"
#include "optim/setting_check.hpp"

namespace trireme {

Sgd::Sgd(const SgdOptions& options) : options_(options) {
  optim::check_setting("sgd", "learning_rate", options.learning_rate, 0.0);
  optim::check_setting("sgd", "momentum", options.momentum, 0.0);
  optim::check_setting("sgd", "dampening", options.dampening, 0.0);
  optim::check_setting("sgd", "weight_decay", options.weight_decay, 0.0);
  if (options.nesterov && (options.momentum == 0.0 || options.dampening != 0.0)) {
    fail(ErrorCode::invalid_argument, "sgd: nesterov needs momentum above 0 and dampening 0");
  }
  if (options.momentum != 0.0) state_names_.push_back("momentum_buffer");
}

void Sgd::set_learning_rate(double learning_rate) {
  optim::check_setting("sgd", "learning_rate", learning_rate, 0.0);
  options_.learning_rate = learning_rate;
}

void Sgd::update(const SpanUpdate& update) const noexcept {
  kernels::sgd({.dtype = update.value.dtype,
                .parameter = update.value.data,
                .gradient = update.gradient.data,
                .momentum_buffer = update.state.empty() ? nullptr : update.state[0].data,
                .count = update.value.count,
                .learning_rate = options_.learning_rate,
                .momentum = options_.momentum,
                .dampening = options_.dampening,
                .weight_decay = options_.weight_decay,
                .nesterov = options_.nesterov,
                .first_step = update.step == 1,
                .gradient_scale = update.gradient_scale});
}

}  // namespace trireme
