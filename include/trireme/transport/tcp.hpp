// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/transport/transport.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace trireme::transport {

struct TcpOptions {
  std::string interface {};      ///< only addresses of this interface, or only this address; empty: all that are up
  std::uint16_t first_port = 0;  ///< listen on the first free port of [first_port, last_port]; 0: any
  std::uint16_t last_port = 0;
  /// Connections to each peer, 1 to most_flows; 0: 1 on the same host or in a world of more than 128 ranks, else 4.
  int flows = 0;
  std::size_t buffer_bytes = 0;  ///< of the kernel, per connection and direction; 0: left to it
  /// The kernel's congestion control, as net::settle_congestion() takes it: empty means the system's, but cubic in place of bbr.
  std::string congestion{};

  static constexpr int most_flows = 16;
};

/// TCP over IPv4 and IPv6. Loopback addresses are published for peers of this host only. Several flows to a peer are lanes
/// of one link; the side that connects proposes their number, the other agrees or refuses (mismatch, naming both settings).
std::unique_ptr<Transport> make_tcp_transport(const Membership& self, const TcpOptions& options);

}  // namespace trireme::transport
