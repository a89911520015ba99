// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <string>

namespace trireme::testing {

/// The error that `call` throws; code none when it throws nothing.
template <class Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Exception& exception) {
    return exception.error();
  }
  return {};
}

template <class Call>
ErrorCode code_of(Call&& call) {
  return error_of(call).code;
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace trireme::testing
