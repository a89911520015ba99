// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/update/update_device.hpp"
#include "optim/span_of.hpp"
#include "trireme/device/runtime.hpp"
#include "trireme/optim/optimizer.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace trireme::optim {

/// The tensors of one step that lie on the device.
struct DeviceUpdates {
  std::span<const SpanUpdate> updates;
  std::span<const OptimizerRates> rates;  ///< of each
  device::Queue queue;
  const kernels::StepScale* scale;          ///< null: the updates' own
  double* block_sums;                       ///< of scope sums: room for those of all tensors, in device memory
  double* factors;                          ///< the same, one per tensor
  std::vector<kernels::UpdateSpan>& spans;  ///< working memory
  std::vector<char>& done;                  ///< the same
};

/// Calls give(spans, key) for the tensors of each key_of(update, rates) together.
template <class KeyOf, class Give>
void for_equal(const DeviceUpdates& all, const KeyOf& key_of, const Give& give) {
  all.done.assign(all.updates.size(), 0);
  for (std::size_t i = 0; i < all.updates.size(); ++i) {
    if (all.done[i] != 0) continue;
    const auto key = key_of(all.updates[i], all.rates[i]);
    all.spans.clear();
    for (std::size_t k = i; k < all.updates.size(); ++k) {
      if (all.done[k] != 0 || !(key_of(all.updates[k], all.rates[k]) == key)) continue;
      all.done[k] = 1;
      all.spans.push_back(span_of(all.updates[k], all.rates[k]));
    }
    give(all.spans, key);
  }
}

/// The whole of a rule of scope elements: one launch for the tensors of each rule_of(update, rates).
template <class RuleOf>
bool update_by_rule(const DeviceUpdates& all, const RuleOf& rule_of) {
  for_equal(all, rule_of, [&](std::span<const kernels::UpdateSpan> spans, const auto& rule) {
    kernels::update(spans, rule, all.queue, all.scale);
  });
  return true;
}

}  // namespace trireme::optim
