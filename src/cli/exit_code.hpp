// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

namespace trireme::cli {

/// Whether the user mends a failure by changing what was typed, set or given as data: exit code 2, one line. All else
/// ends with 1.
inline bool is_users(ErrorCode code) {
  return code == ErrorCode::invalid_argument || code == ErrorCode::unsupported || code == ErrorCode::corrupt;
}

}  // namespace trireme::cli
