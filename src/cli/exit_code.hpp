// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <string>

namespace trireme::cli {

/// Whether the user mends a failure by changing what was typed, set or given as data: exit code 2, one line. All else
/// ends with 1.
inline bool is_users(ErrorCode code) {
  return code == ErrorCode::invalid_argument || code == ErrorCode::unsupported || code == ErrorCode::corrupt;
}

/// What to say of a failure: of the user's, what is wrong; of all others, of which kind they are too.
inline std::string words_of(const Error& error) { return is_users(error.code) ? error.message : to_string(error); }

}  // namespace trireme::cli
