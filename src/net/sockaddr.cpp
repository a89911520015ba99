// SPDX-License-Identifier: Apache-2.0
#include "net/sockaddr.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

namespace trireme::net {
namespace {

constexpr std::size_t mapped_prefix_bytes = 12;  // ::ffff:0:0/96

bool is_internet(const Endpoint& endpoint) { return endpoint.family() == AF_INET || endpoint.family() == AF_INET6; }

}  // namespace

Address to_address(const Endpoint& endpoint) {
  if (!is_internet(endpoint)) fail(ErrorCode::invalid_argument, "not a TCP socket: it has no host and port");
  if (endpoint.family() == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &endpoint.storage, sizeof v6);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      char text[INET_ADDRSTRLEN] = {};
      ::inet_ntop(AF_INET, v6.sin6_addr.s6_addr + mapped_prefix_bytes, text, sizeof text);
      return {text, ntohs(v6.sin6_port)};
    }
  }
  char host[NI_MAXHOST] = {};
  int error = ::getnameinfo(endpoint.get(), endpoint.length, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
  if (error != 0) fail(ErrorCode::system, std::string("getnameinfo: ") + ::gai_strerror(error));
  std::uint16_t port = 0;
  if (endpoint.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &endpoint.storage, sizeof v4);
    port = ntohs(v4.sin_port);
  } else {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &endpoint.storage, sizeof v6);
    port = ntohs(v6.sin6_port);
  }
  return {host, port};
}

Address local_address(const Socket& socket) {
  Endpoint own;
  own.length = sizeof own.storage;
  if (::getsockname(socket.descriptor(), own.get(), &own.length) != 0) fail_system("getsockname", errno);
  return to_address(own);
}

Address peer_address(const Socket& socket) {
  Endpoint peer;
  peer.length = sizeof peer.storage;
  if (::getpeername(socket.descriptor(), peer.get(), &peer.length) != 0)
    fail(ErrorCode::peer_lost, "the connection has no other end any more");
  return to_address(peer);
}

std::string peer_text(const Socket& socket) {
  Endpoint peer;
  peer.length = sizeof peer.storage;
  if (::getpeername(socket.descriptor(), peer.get(), &peer.length) == 0) {
    return is_internet(peer) ? to_address(peer).to_string() : "a local socket";
  }
  Endpoint own;
  own.length = sizeof own.storage;
  if (::getsockname(socket.descriptor(), own.get(), &own.length) == 0 && is_internet(own)) {
    return "the peer of " + to_address(own).to_string();
  }
  return "the peer";
}

}  // namespace trireme::net
