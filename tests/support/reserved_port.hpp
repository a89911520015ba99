// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <cerrno>

#include <netinet/in.h>

namespace trireme::testing {

/// A port of 127.0.0.1 on which nobody listens, and which nobody else is given as long as this lives: bound, but not
/// listening. A port that is free for a moment only may belong to another test in the next. listen_tcp can still take it, since
/// both sides allow the reuse of addresses.
struct ReservedPort {
  net::Socket socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  net::Address address;

  ReservedPort() {
    const int yes = 1;
    sockaddr_in loopback{};
    loopback.sin_family = AF_INET;
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        ::bind(socket.descriptor(), reinterpret_cast<const sockaddr*>(&loopback), sizeof loopback) != 0)
      fail_system("a port of 127.0.0.1", errno);
    address = net::local_address(socket);
  }
};

}  // namespace trireme::testing
