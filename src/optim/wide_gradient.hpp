// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cast/cast.hpp"
#include "trireme/optim/optimizer.hpp"

#include <cstddef>

namespace trireme::optim {

/// Elements [begin, begin + count) of what a rule takes for the gradient: scale*gradient, clipped, + penalty*p, in T.
template <class T>
void wide_gradient(T* to, const SpanUpdate& update, const OptimizerRates& rates, std::size_t begin, std::size_t count) {
  const auto* from = static_cast<const std::byte*>(update.gradient.data) + begin * size_of(update.gradient.dtype);
  kernels::cast(to, dtype_of<T>, from, update.gradient.dtype, count);
  const T* p = static_cast<const T*>(update.value.data) + begin;
  const T scale = static_cast<T>(update.gradient_scale), penalty = static_cast<T>(rates.l2_penalty);
  const T bound = static_cast<T>(update.clip_value);
  for (std::size_t i = 0; i < count; ++i) {
    const T g = to[i] * scale;
    to[i] = g > bound ? bound : g < -bound ? -bound : g;
  }
  if (rates.l2_penalty != 0.0) {
    for (std::size_t i = 0; i < count; ++i) to[i] = to[i] + penalty * p[i];
  }
}

/// The new parameters once more, rounded, where they are wanted.
inline void copy_out(const SpanUpdate& update) {
  if (update.copy.count == 0) return;
  kernels::cast(update.copy.data, update.copy.dtype, update.value.data, update.value.dtype, update.value.count);
}

}  // namespace trireme::optim
