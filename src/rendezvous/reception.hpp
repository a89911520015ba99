// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/doorbell.hpp"
#include "rendezvous/protocol.hpp"
#include "rendezvous/visits.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::rendezvous {

/// Where new connections prove who they are: by the handshake and their first message, within 10 s.
/// Threads: all calls come from one thread, the server's.
class Reception {
 public:
  struct Guest {
    net::Socket socket;
    std::string from;  ///< its address, for messages
    std::optional<net::Identity> identity{};
    std::optional<Hello> hello{};
    std::string problem{};  ///< why it must go; empty when identity and hello are there
  };

  /// Rings `bell` when a guest is ready.
  Reception(net::JobKey key, net::Identity self, Doorbell& bell) : key_(key), self_(std::move(self)), bell_(bell) {}
  /// Whether there is room for one more: see Visits.
  bool has_room() { return visits_.has_room(); }
  /// Errors: system when no thread can be had.
  void admit(net::Socket socket, std::string from);
  /// Those who are ready now.
  std::vector<Guest> ready() { return visits_.ready(); }

 private:
  void receive(Guest& guest) const noexcept;

  net::JobKey key_;
  net::Identity self_;
  Doorbell& bell_;
  Visits<Guest> visits_;  ///< last: their threads use the rest
};

}  // namespace trireme::rendezvous
