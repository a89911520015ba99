// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/socket.hpp"

#include <string_view>

namespace trireme::net {

/// Throws what an errno of a read or write on a connection means. `action`: "sending to", "receiving from".
/// Errors: closed for EPIPE; peer_lost when the connection was reset or the host has gone; system otherwise.
[[noreturn]] void fail_io(const Socket& socket, std::string_view action, int errno_value);

/// Throws timeout, closed with what was under way.
[[noreturn]] void fail_io_timeout(const Socket& socket, std::string_view action, std::size_t done, std::size_t total);
[[noreturn]] void fail_io_closed(const Socket& socket, std::size_t done, std::size_t total);

}  // namespace trireme::net
