// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/request.hpp"

namespace trireme::comm {

/// Refuses what can be known to be wrong before any byte moves, from what every rank knows.
/// Errors: invalid_argument, unsupported, naming the operation and the argument.
void validate(const Request& request, int rank);

}  // namespace trireme::comm
