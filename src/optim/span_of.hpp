// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/update/update.hpp"
#include "trireme/optim/optimizer.hpp"

namespace trireme::optim {

/// What every rule's kernel is told.
inline kernels::UpdateSpan span_of(const SpanUpdate& update, const OptimizerRates& rates) {
  kernels::UpdateSpan span{.dtype = update.value.dtype,
                           .parameter = update.value.data,
                           .gradient = update.gradient.data,
                           .gradient_dtype = update.gradient.dtype,
                           .count = update.value.count,
                           .gradient_scale = update.gradient_scale,
                           .clip_value = update.clip_value,
                           .l2_penalty = rates.l2_penalty,
                           .keep = 1.0 - rates.learning_rate * rates.weight_decay};
  for (std::size_t k = 0; k < update.state.size() && k < span.state.size(); ++k) span.state[k] = update.state[k].data;
  if (update.copy.count != 0) {
    span.copy = update.copy.data;
    span.copy_dtype = update.copy.dtype;
  }
  return span;
}

}  // namespace trireme::optim
