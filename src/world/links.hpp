// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/base/log.hpp"
#include "trireme/rendezvous/store.hpp"
#include "trireme/transport/transport.hpp"
#include "world/control_relay.hpp"
#include "world/peer_card.hpp"

#include <memory>
#include <string>
#include <vector>

namespace trireme {

/// A rank's links to all others (index: rank; null for itself) and the name of the transport of each.
struct Links {
  std::vector<std::unique_ptr<transport::Link>> links;
  std::vector<std::string> transports;
};

/// "rank 3 on host-b".
std::string describe(int rank, const std::vector<PeerCard>& cards);

/// How `rank` reaches its peers, in one line: "ranks 1-3 over shm; ranks 4-7 over tcp, 10.0.0.1 (eth0), 4 flows".
std::string describe_ways(const Links& links, int rank);

/// Connects this rank to every other, each over the first of `transports` that reaches it: to lower ranks by
/// connecting, to higher ones by accepting, over all transports at once. With a `store`, a rank that cannot reach a lower
/// one asks it to connect instead.
/// Errors: unsupported naming a rank that no transport reaches; timeout naming the ranks that did not connect and, where
///         connections were tried, every address with its reason; whatever failed with the rank and its host in front;
///         the verdict of `control`, as soon as there is one.
Links connect_all(const std::vector<std::unique_ptr<transport::Transport>>& transports,
                  const std::vector<PeerCard>& cards, int rank, ControlRelay& control, Deadline deadline,
                  const Log& log, rendezvous::Store* store = nullptr);

}  // namespace trireme
