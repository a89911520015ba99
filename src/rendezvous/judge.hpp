// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/evidence.hpp"

namespace trireme::rendezvous {

/// The one cause that explains the evidence.
/// Order: the result depends on the set of reports, answers and losses, never on the order of their arrival.
///
/// A report that blames a peer is dropped when that peer has itself reported: the peer is then a witness who closed its
/// connections on the way out, not the cause. For the same reason the loss of a rank that reported before is no cause.
/// Of the causes that remain, the lowest (epoch, communicator, operation) wins; there the hardest evidence (mismatch,
/// loss, timeout, other), and then the lowest member.
Cause judge(const Evidence& evidence);

}  // namespace trireme::rendezvous
