// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

namespace trireme::rendezvous {

/// How hard the evidence behind a code is, hardest first: both descriptions of a mismatch, a process that is gone, a
/// wait that did not end, anything else.
constexpr int kind_order(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::mismatch: return 0;
    case ErrorCode::peer_lost: return 1;
    case ErrorCode::timeout: return 2;
    default: return 3;
  }
}

}  // namespace trireme::rendezvous
