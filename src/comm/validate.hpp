// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/request.hpp"

#include <optional>

namespace trireme::comm {

/// Refuses what can be known to be wrong before any byte moves, from what every rank knows.
/// Errors: invalid_argument, unsupported, naming the operation and the argument.
/// `device`: whose memory is taken beside the host's.
void validate(const Request& request, int rank, std::optional<Device> device = std::nullopt);

}  // namespace trireme::comm
