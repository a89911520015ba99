// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/socket.hpp"

#include <string>

#include <sys/socket.h>

namespace trireme::net {

/// A socket address as the kernel takes it.
struct Endpoint {
  sockaddr_storage storage{};
  socklen_t length = 0;

  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

/// Numeric host (scope id included) and port; an IPv4 address mapped into IPv6 is given as IPv4.
/// Errors: invalid_argument when it is no TCP address.
Address to_address(const Endpoint& endpoint);

/// How messages name the other end: "10.0.0.2:4242", "a local socket", or, when the kernel has already forgotten it, by
/// the own end: "the peer of 10.0.0.1:29500". Never throws for lack of knowledge.
std::string peer_text(const Socket& socket);

}  // namespace trireme::net
