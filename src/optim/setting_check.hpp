// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <string>

namespace trireme::optim {

/// Errors: invalid_argument unless `value` is finite and in [low, high).
inline void check_setting(const char* optimizer, const char* setting, double value, double low,
                          double high = std::numeric_limits<double>::infinity()) {
  if (std::isfinite(value) && value >= low && value < high) return;
  char text[160];
  const int length =
      std::snprintf(text, sizeof text, "%s: %s is %g; it must be finite, at least %g", optimizer, setting, value, low);
  if (std::isfinite(high) && length > 0 && static_cast<std::size_t>(length) < sizeof text) {
    std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), " and below %g", high);
  }
  fail(ErrorCode::invalid_argument, text);
}

}  // namespace trireme::optim
