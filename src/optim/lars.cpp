// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/lars.hpp"

#include "kernels/norm/norm.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"
#include "optim/wide_gradient.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <cmath>

namespace trireme {
namespace {

template <class T>
void measure_as(const SpanUpdate& update, std::span<double> block_sums) {
  T gradient[layout::reduction_block];
  const T* p = static_cast<const T*>(update.value.data);
  for (std::size_t begin = 0, at = 0; begin < update.value.count; begin += layout::reduction_block) {
    const std::size_t count = std::min(layout::reduction_block, update.value.count - begin);
    optim::wide_gradient(gradient, update, {}, begin, count);
    block_sums[at++] = kernels::block_sum_of_squares(p + begin, dtype_of<T>, count);
    block_sums[at++] = kernels::block_sum_of_squares(gradient, dtype_of<T>, count);
  }
}

}  // namespace

Lars::Lars(const LarsOptions& options)
    : Optimizer("lars", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("lars", "momentum", options.momentum, 0.0);
  optim::check_setting("lars", "trust", options.trust, 0.0);
  optim::check_setting("lars", "epsilon", options.epsilon, 0.0);
  if (options.nesterov && options.momentum == 0.0)
    fail(ErrorCode::invalid_argument, "lars: nesterov needs momentum above 0");
  if (options.momentum != 0.0) state_names_.push_back("momentum_buffer");
}

void Lars::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  // |g| with the scale and the bound, and with the penalty's part left out: the decay is what LARS is made for.
  const double p = std::sqrt(update.totals[0]), g = std::sqrt(update.totals[1]);
  const double local = options_.trust * p / (g + rates.weight_decay * p + options_.epsilon);
  const double scale = p > 0.0 && g > 0.0 && std::isfinite(local) ? local : 1.0;
  kernels::UpdateSpan span = optim::span_of(update, rates);
  span.gradient_scale *= scale;
  span.clip_value *= scale;
  span.l2_penalty = scale * (rates.l2_penalty + rates.weight_decay);
  span.keep = 1.0;
  kernels::update(span, kernels::SgdRule{.learning_rate = rates.learning_rate,
                                         .momentum = options_.momentum,
                                         .nesterov = options_.nesterov,
                                         .first_step = update.step == 1});
}

void Lars::measure(const SpanUpdate& update, const OptimizerRates&, std::span<double> block_sums) const noexcept {
  update.value.dtype == DType::f64 ? measure_as<double>(update, block_sums) : measure_as<float>(update, block_sums);
}

}  // namespace trireme
