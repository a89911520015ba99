// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

namespace trireme::optim {

/// Errors: invalid_argument unless `value` is finite and in [low, high).
inline void check_setting(const char* optimizer, const char* setting, double value, double low,
                          double high = std::numeric_limits<double>::infinity()) {
  if (std::isfinite(value) && value >= low && value < high) return;
  char text[160];
  std::snprintf(text, sizeof text, "%s: %s is %g; it must be finite, at least %g and below %g", optimizer, setting,
                value, low, high);
  fail(ErrorCode::invalid_argument, text);
}

}  // namespace trireme::optim
