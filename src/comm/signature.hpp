// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/request.hpp"
#include "trireme/transport/endpoint.hpp"

#include <string>

namespace trireme::comm {

/// What a rank believes an operation to be, packed into the stamp that every message carries. Equal on all ranks, or
/// the ranks have called different things. `algorithm_override` is TRIREME_ALGORITHM's value plus one, 0 if unset.
transport::Stamp signature_of(const Request& request, int algorithm_override);

/// The stamp of one message of `elements` elements of the operation: of an uneven all_to_all it tells how many go between
/// the two, which no other pair need agree on.
transport::Stamp of_message(transport::Stamp stamp, std::size_t elements);

/// Whether two stamps, of operations or of messages, are of one call.
bool same_call(const transport::Stamp& ours, const transport::Stamp& theirs);

/// "all_reduce(count 1024, f32, sum, canonical)": a signature in words. Any bits are legal: they come from the wire.
std::string describe(const transport::Stamp& stamp);

}  // namespace trireme::comm
