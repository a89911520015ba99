// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/net/socket.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace trireme::transport {

/// How many connections a link gets where nobody asks for a number. Each costs a descriptor at both ends, of which a process
/// often may have 1024: so large worlds make do with one.
inline int automatic_flows(bool same_host, int world_size) {
  constexpr int between_hosts = 4;
  constexpr int largest_world = 128;
  return same_host || world_size > largest_world ? 1 : between_hosts;
}

/// What the connecting side says on each connection after the handshake, so that several become the lanes of one link.
struct FlowProposal {
  std::uint64_t attempt = 0;  ///< which of its attempts at this link: grows; what is left of an earlier one is void
  std::uint32_t setting = 0;  ///< its TcpOptions::flows
  std::uint32_t flows = 1;    ///< how many connections the link gets
  std::uint32_t index = 0;    ///< which of them this is
};

/// The connecting side: proposes, and waits for the answer.
/// Errors: mismatch naming both settings when the other end has another; as receive_all.
void propose_flow(const net::Socket& socket, const FlowProposal& proposal, int peer, Deadline deadline);

/// The accepting side: what is proposed, once it has been answered; nothing and the reason when it is refused.
/// Errors: as receive_all; corrupt for what is no proposal.
std::optional<FlowProposal> answer_flow(const net::Socket& socket, int setting, int peer, Deadline deadline,
                                        std::string& refusal);

/// The accepting side's connections of links that are not complete, of peers that have proved who they are.
/// Threads: any, at the same time.
class FlowAssembly {
 public:
  /// All of a link's connections, by index, when this one was the last; else none. A connection of an attempt that a later
  /// one has replaced, or of a number that is there already, is dropped, with the reason in `refusal`.
  std::vector<net::Socket> add(int peer, const FlowProposal& proposal, net::Socket socket, std::string& refusal);

 private:
  struct Partial {
    std::uint64_t attempt = 0;
    std::vector<net::Socket> sockets;
    std::size_t present = 0;
  };
  std::mutex mutex_;
  std::map<int, Partial> partial_;
};

}  // namespace trireme::transport
