// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/evidence.hpp"

namespace trireme::rendezvous {

/// Who is at fault when operations time out: follows "waits for" from the ranks that reported the lowest operation.
/// A rank that is itself waiting, in whatever operation, is passed through; the walk ends at ranks that wait for nobody:
/// gone, silent, or not in the operation they are waited for in. Where there are several, the one waited for in the
/// lowest operation, then the lowest rank. Where there is none, the ranks wait in a circle: its lowest member.
/// Requires at least one report of a timeout.
Cause follow_waiting(const Evidence& evidence);

/// "rank 1 (host) has left the world (its World was closed) before all_reduce #17": peer_lost.
Cause departure_of(const Evidence& evidence, int rank, const Place& place);

}  // namespace trireme::rendezvous
