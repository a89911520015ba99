// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/loss_scaler.hpp"

#include "optim/setting_check.hpp"

#include <algorithm>
#include <cmath>

namespace trireme {
namespace {

void check_positive(const char* setting, double value) {
  if (std::isfinite(value) && value > 0.0) return;
  fail(ErrorCode::invalid_argument, std::string("loss scaler: ") + setting + " must be finite and above 0");
}

}  // namespace

LossScaler::LossScaler(const LossScalerOptions& options) : options_(options) {
  check_positive("initial", options.initial);
  check_positive("least", options.least);
  check_positive("most", options.most);
  if (!(std::isfinite(options.growth) && options.growth > 1.0))
    fail(ErrorCode::invalid_argument, "loss scaler: growth must be finite and above 1");
  if (!(options.backoff > 0.0 && options.backoff < 1.0))
    fail(ErrorCode::invalid_argument, "loss scaler: backoff must be between 0 and 1");
  if (options.least > options.most) fail(ErrorCode::invalid_argument, "loss scaler: least is above most");
  state_.scale = std::clamp(options.initial, options.least, options.most);
}

void LossScaler::update(bool finite) {
  if (!finite) {
    state_.scale = std::max(state_.scale * options_.backoff, options_.least);
    state_.finite_steps = 0;
    ++state_.skipped;
    return;
  }
  if (options_.interval == 0 || ++state_.finite_steps < options_.interval) return;
  state_.scale = std::min(state_.scale * options_.growth, options_.most);
  state_.finite_steps = 0;
}

void LossScaler::restore(const State& state) {
  check_positive("the saved scale", state.scale);
  state_ = state;
}

}  // namespace trireme
