// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/transport/transport.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace trireme::transport {

struct TcpOptions {
  std::string interface {};      ///< only addresses of this interface; empty: all that are up
  std::uint16_t first_port = 0;  ///< listen on the first free port of [first_port, last_port]; 0: any
  std::uint16_t last_port = 0;
};

/// TCP over IPv4 and IPv6. Loopback addresses are published for peers of this host only.
std::unique_ptr<Transport> make_tcp_transport(const Membership& self, const TcpOptions& options);

}  // namespace trireme::transport
