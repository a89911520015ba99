// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/request.hpp"
#include "trireme/transport/endpoint.hpp"

#include <string>

namespace trireme::comm {

/// What a rank believes an operation to be, packed into the stamp that every message carries. Equal on all ranks, or
/// the ranks have called different things. `algorithm_override` is TRIREME_ALGORITHM's value plus one, 0 if unset.
transport::Stamp signature_of(const Request& request, int algorithm_override);

/// "all_reduce(count 1024, f32, sum, canonical)": a signature in words. Any bits are legal: they come from the wire.
std::string describe(const transport::Stamp& stamp);

}  // namespace trireme::comm
