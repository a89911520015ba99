// SPDX-License-Identifier: Apache-2.0
#include "net/backoff.hpp"
#include "net/connecting.hpp"
#include "net/quoted.hpp"
#include "net/resolve.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>

#include <netinet/in.h>
#include <netinet/tcp.h>

namespace trireme::net {
namespace {

using std::chrono::milliseconds;

void set_option(const Socket& socket, int level, int option, const char* name, int value) {
  if (::setsockopt(socket.descriptor(), level, option, &value, sizeof value) != 0) {
    fail_system(std::string("setsockopt ") + name, errno);
  }
}

void refuse_unusable_host(const Address& address) {
  bool bad = std::any_of(address.host.begin(), address.host.end(),
                         [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; });
  if (bad)
    fail(ErrorCode::invalid_argument, "host " + quoted(address.host) + " holds white space or a control character");
}

/// Binds and listens, or says by errno why not.
int try_listen(const Endpoint& endpoint, bool both_families, int backlog, Socket& result) {
  Socket socket(::socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return errno;
  // A job restarted on the same port must not wait for the old connections' TIME_WAIT.
  set_option(socket, SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", 1);
  if (endpoint.family() == AF_INET6)
    set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY", both_families ? 0 : 1);
  if (::bind(socket.descriptor(), endpoint.get(), endpoint.length) != 0) return errno;
  if (::listen(socket.descriptor(), backlog) != 0) return errno;
  result = std::move(socket);
  return 0;
}

Endpoint any_v6(std::uint16_t port) {
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  Endpoint endpoint;
  std::memcpy(&endpoint.storage, &v6, sizeof v6);
  endpoint.length = sizeof v6;
  return endpoint;
}

Endpoint any_v4(std::uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  Endpoint endpoint;
  std::memcpy(&endpoint.storage, &v4, sizeof v4);
  endpoint.length = sizeof v4;
  return endpoint;
}

/// The kernel lacks the family, or this host has no such address: another one may do.
bool try_another(int error) { return error == EAFNOSUPPORT || error == EADDRNOTAVAIL; }

[[noreturn]] void fail_listen(const Address& bind, int error) {
  std::string what = "cannot listen on " + bind.to_string() + ": ";
  switch (error) {
    case EADDRINUSE: fail(ErrorCode::invalid_argument, what + "the port is taken; give another");
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT: fail(ErrorCode::invalid_argument, what + "this host has no such address");
    case EACCES: fail(ErrorCode::invalid_argument, what + "this user may not use the port; give one above 1023");
    case EINVAL:
      fail(ErrorCode::invalid_argument, what + "the address is incomplete (a link-local one needs %interface)");
    default: fail_system("cannot listen on " + bind.to_string(), error);
  }
}

/// A TCP socket may connect to itself: while nobody listens on a port of the ephemeral range, the kernel can choose
/// that very port as the source, and the two SYNs cross. Repeated attempts on loopback do meet this.
bool is_connected_to_itself(const Socket& socket) {
  Endpoint own;
  Endpoint peer;
  own.length = peer.length = sizeof own.storage;
  if (::getsockname(socket.descriptor(), own.get(), &own.length) != 0) return false;
  if (::getpeername(socket.descriptor(), peer.get(), &peer.length) != 0) return false;
  return own.length == peer.length && std::memcmp(&own.storage, &peer.storage, own.length) == 0;
}

/// One attempt. Returns the open socket, or a closed one and the reason.
Socket try_connect(const Endpoint& endpoint, Deadline deadline, std::string& reason) {
  const auto refused = [&](const char* why) {
    reason = to_address(endpoint).host + ": " + why;
    return Socket();
  };
  int error = 0;
  Socket socket = begin_connect(endpoint, error);
  if (error == EINPROGRESS) {
    if (!wait_writable(socket, deadline)) return refused("no answer");
    error = connect_result(socket);
  }
  if (error != 0) return refused(std::strerror(error));
  return socket;
}

/// The time for one address of a round: an equal share of what is left, and at first little of it, so that an address
/// that swallows packets does not keep the next one waiting; later rounds give slow paths the time they need.
Deadline share_of(Deadline whole, std::size_t addresses_left, int round) {
  milliseconds share = milliseconds(1500) * (1 << std::min(round, 3));
  if (!whole.is_never()) {
    auto left = std::chrono::ceil<milliseconds>(whole.moment() - Deadline::Clock::now());
    share = std::clamp(left / static_cast<milliseconds::rep>(addresses_left), milliseconds(0), share);
  }
  return Deadline::after(share);
}

}  // namespace

Socket begin_connect(const Endpoint& endpoint, int& error, std::size_t buffer_bytes) {
  Socket socket(::socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) {
    if (errno != EAFNOSUPPORT) fail_system("socket", errno);
    error = EAFNOSUPPORT;
    return socket;
  }
  if (buffer_bytes != 0) set_buffers(socket, buffer_bytes);
  error = 0;
  if (::connect(socket.descriptor(), endpoint.get(), endpoint.length) != 0)
    error = errno == EINTR ? EINPROGRESS : errno;
  if (error == 0) error = connect_result(socket);
  if (error != 0 && error != EINPROGRESS) socket.close();
  return socket;
}

int connect_result(const Socket& socket) {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket.descriptor(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return error;
  return is_connected_to_itself(socket) ? ECONNREFUSED : 0;
}

void set_stream_options(const Socket& socket) {
  // Death of the other host: unacknowledged data for 5 s, or, on an idle connection, three unanswered probes.
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", 2);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", 3);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", 5000);
}

void let_stall(const Socket& socket) { set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", 0); }

void probe_patiently(const Socket& socket) { set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", 60); }

bool set_congestion(const Socket& socket, const std::string& name) {
  return ::setsockopt(socket.descriptor(), IPPROTO_TCP, TCP_CONGESTION, name.data(),
                      static_cast<socklen_t>(name.size())) == 0;
}

std::string congestion(const Socket& socket) {
  char name[32] = {};
  socklen_t length = sizeof name - 1;
  if (::getsockopt(socket.descriptor(), IPPROTO_TCP, TCP_CONGESTION, name, &length) != 0) return {};
  return name;
}

bool settle_congestion(const Socket& socket, const std::string& wanted) {
  if (wanted == "system") return true;
  if (!wanted.empty()) return set_congestion(socket, wanted);
  if (congestion(socket) == "bbr") set_congestion(socket, "cubic");
  return true;
}

void set_buffers(const Socket& socket, std::size_t bytes) {
  const int value = static_cast<int>(std::min<std::size_t>(bytes, std::numeric_limits<int>::max()));
  set_option(socket, SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF", value);
  set_option(socket, SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", value);
}

void limit_unsent(const Socket& socket, std::size_t bytes) {
  const int value = static_cast<int>(std::min<std::size_t>(bytes, std::numeric_limits<int>::max()));
  set_option(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT", value);
}

Socket listen_tcp(const Address& bind, int backlog) {
  refuse_unusable_host(bind);
  Socket listener;
  if (bind.host.empty()) {
    int error = try_listen(any_v6(bind.port), true, backlog, listener);
    if (try_another(error)) error = try_listen(any_v4(bind.port), false, backlog, listener);
    if (error != 0) fail_listen(bind, error);
    return listener;
  }
  Resolution resolution = resolve(bind, Deadline::after(std::chrono::seconds(10)));
  if (!resolution.problem.empty()) {
    fail(ErrorCode::invalid_argument, "cannot listen on " + bind.to_string() + ": " + resolution.problem);
  }
  int error = 0;
  for (const Endpoint& endpoint : resolution.endpoints) {
    error = try_listen(endpoint, false, backlog, listener);
    if (!try_another(error)) break;
  }
  if (error != 0) fail_listen(bind, error);
  return listener;
}

Socket connect_tcp(const Address& address, Deadline deadline) {
  refuse_unusable_host(address);
  if (address.host.empty() || address.port == 0) {
    fail(ErrorCode::invalid_argument,
         "cannot connect to " + quoted(address.to_string()) + ": it lacks a host or a port");
  }
  Backoff backoff;
  std::string reason;
  for (int round = 0;; ++round) {
    Resolution resolution = resolve(address, deadline);
    // A look-up that the deadline cut short says nothing of why earlier rounds failed.
    if (!resolution.problem.empty() && (reason.empty() || !deadline.passed())) reason = resolution.problem;
    for (std::size_t i = 0; i < resolution.endpoints.size(); ++i) {
      Deadline share = share_of(deadline, resolution.endpoints.size() - i, round);
      Socket socket = try_connect(resolution.endpoints[i], share, reason);
      if (!socket.is_open()) continue;
      set_stream_options(socket);  // afterwards: TCP_USER_TIMEOUT would cut the handshake of a slow path short
      return socket;
    }
    if (deadline.passed()) {
      fail(ErrorCode::timeout, "cannot connect to " + address.to_string() + " (" + reason +
                                   "): see that the process there runs and that host and port are right");
    }
    backoff.pause(deadline);
  }
}

}  // namespace trireme::net
