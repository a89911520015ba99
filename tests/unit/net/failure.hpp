// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <string>

namespace trireme::net::testing {

/// The error `body` throws; code none if it throws nothing.
template <class Body>
Error failure_of(Body&& body) {
  try {
    body();
  } catch (const Exception& exception) {
    return exception.error();
  }
  return {};
}

template <class Body>
ErrorCode code_of(Body&& body) {
  return failure_of(body).code;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace trireme::net::testing
