// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

namespace trireme::testing {

/// The error that `body` throws; code none when it does not throw.
template <class Body>
Error failure_of(Body&& body) {
  try {
    body();
  } catch (const Exception& exception) {
    return exception.error();
  }
  return {};
}

}  // namespace trireme::testing
