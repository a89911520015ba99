// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "net/sockaddr.hpp"
#include "trireme/net/socket.hpp"

namespace trireme::net {

/// Begins to connect a fresh non-blocking socket. `error`: 0 when it stands already, EINPROGRESS while it does not yet,
/// otherwise why it cannot (then the socket is closed). `buffer_bytes`: as set_buffers; 0: not called.
Socket begin_connect(const Endpoint& endpoint, int& error, std::size_t buffer_bytes = 0);

/// Of a socket that has become writable: 0 when the connection stands, else why not. A connection to itself, which TCP
/// can make on a port of the ephemeral range that nobody listens on, counts as refused.
int connect_result(const Socket& socket);

}  // namespace trireme::net
