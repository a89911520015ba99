// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/lars.hpp"

#include "kernels/norm/norm.hpp"
#include "kernels/update/trust.hpp"
#include "optim/device_updates.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"
#include "optim/wide_gradient.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>

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

kernels::SgdRule rule_of(const LarsOptions& options, const SpanUpdate& update, const OptimizerRates& rates) {
  return {.learning_rate = rates.learning_rate,
          .momentum = options.momentum,
          .nesterov = options.nesterov,
          .first_step = update.step == 1};
}

/// Tensors that are measured and updated in the same launches.
struct LarsKey {
  kernels::SgdRule rule;
  kernels::TrustRule trust;
  double penalty;
  friend bool operator==(const LarsKey&, const LarsKey&) = default;
};

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
  const double scale =
      kernels::local_rate(update.totals[0], update.totals[1], options_.trust, rates.weight_decay, options_.epsilon);
  kernels::UpdateSpan span = optim::span_of(update, rates);
  span.gradient_scale *= scale;
  span.clip_value *= scale;
  span.l2_penalty = scale * (rates.l2_penalty + rates.weight_decay);
  span.keep = 1.0;
  kernels::update(span, rule_of(options_, update, rates));
}

void Lars::measure(const SpanUpdate& update, const OptimizerRates&, std::span<double> block_sums) const noexcept {
  update.value.dtype == DType::f64 ? measure_as<double>(update, block_sums) : measure_as<float>(update, block_sums);
}

bool Lars::update_on_device(const optim::DeviceUpdates& updates) const {
  const auto key_of = [this](const SpanUpdate& update, const OptimizerRates& rates) {
    return LarsKey{
        rule_of(options_, update, rates),
        {.local = true, .trust = options_.trust, .weight_decay = rates.weight_decay, .epsilon = options_.epsilon},
        rates.l2_penalty + rates.weight_decay};
  };
  optim::for_equal(updates, key_of, [&](std::span<kernels::UpdateSpan> spans, const LarsKey& key) {
    for (kernels::UpdateSpan& span : spans) {
      span.keep = 1.0;
      span.l2_penalty = 0.0;
    }
    kernels::measure(spans, updates.block_sums, updates.queue, updates.scale);
    kernels::trust(spans, key.trust, updates.block_sums, updates.factors, updates.queue, updates.scale);
    for (kernels::UpdateSpan& span : spans) span.l2_penalty = key.penalty;
    kernels::update(spans, key.rule, updates.factors, updates.queue, updates.scale);
  });
  return true;
}

}  // namespace trireme
