// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/lamb.hpp"

#include "kernels/update/trust.hpp"
#include "optim/device_updates.hpp"
#include "optim/setting_check.hpp"
#include "optim/span_of.hpp"

namespace trireme {
namespace {

/// The decay is in the direction.
kernels::UpdateSpan span_without_decay(const SpanUpdate& update, const OptimizerRates& rates) {
  kernels::UpdateSpan span = optim::span_of(update, rates);
  span.keep = 1.0;
  return span;
}

kernels::LambRule rule_of(const LambOptions& options, const SpanUpdate& update, const OptimizerRates& rates) {
  return {.beta1 = options.beta1,
          .beta2 = options.beta2,
          .epsilon = options.epsilon,
          .weight_decay = rates.weight_decay,
          .step = update.step};
}

/// Tensors that are measured and updated in the same launches.
struct LambKey {
  kernels::LambRule rule;
  kernels::TrustRule trust;
  friend bool operator==(const LambKey&, const LambKey&) = default;
};

}  // namespace

Lamb::Lamb(const LambOptions& options)
    : Optimizer("lamb", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("lamb", "beta1", options.beta1, 0.0, 1.0);
  optim::check_setting("lamb", "beta2", options.beta2, 0.0, 1.0);
  optim::check_setting("lamb", "epsilon", options.epsilon, 0.0);
  if (!(options.max_trust > 0)) fail(ErrorCode::invalid_argument, "lamb: max_trust must be above 0");
}

void Lamb::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  kernels::LambRule rule = rule_of(options_, update, rates);
  rule.step_size = rates.learning_rate * kernels::trust_ratio(update.totals[0], update.totals[1], options_.max_trust);
  kernels::update(span_without_decay(update, rates), rule);
}

void Lamb::measure(const SpanUpdate& update, const OptimizerRates& rates, std::span<double> block_sums) const noexcept {
  kernels::measure(span_without_decay(update, rates), rule_of(options_, update, rates), block_sums.data());
}

bool Lamb::update_on_device(const optim::DeviceUpdates& updates) const {
  const auto key_of = [this](const SpanUpdate& update, const OptimizerRates& rates) {
    return LambKey{rule_of(options_, update, rates),
                   {.learning_rate = rates.learning_rate, .max_trust = options_.max_trust}};
  };
  optim::for_equal(updates, key_of, [&](std::span<kernels::UpdateSpan> spans, const LambKey& key) {
    for (kernels::UpdateSpan& span : spans) span.keep = 1.0;
    kernels::measure(spans, key.rule, updates.block_sums, updates.queue, updates.scale);
    kernels::trust(spans, key.trust, updates.block_sums, updates.factors, updates.queue, updates.scale);
    kernels::update(spans, key.rule, updates.factors, updates.queue, updates.scale);
  });
  return true;
}

}  // namespace trireme
