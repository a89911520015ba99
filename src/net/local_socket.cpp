// SPDX-License-Identifier: Apache-2.0
#include "net/backoff.hpp"
#include "net/quoted.hpp"
#include "net/sockaddr.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>

#include <sys/un.h>

namespace trireme::net {
namespace {

constexpr std::chrono::milliseconds between_looks{50};  // whether it is given up

/// sun_path starts with a zero byte, the name follows, and the length ends it: no file appears.
Endpoint abstract(std::string_view name) {
  sockaddr_un address{};
  if (name.empty() || name.size() >= sizeof address.sun_path) {
    fail(ErrorCode::invalid_argument, "local socket name " + quoted(name) + " has " + std::to_string(name.size()) +
                                          " bytes: give 1 to " + std::to_string(sizeof address.sun_path - 1));
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  Endpoint endpoint;
  std::memcpy(&endpoint.storage, &address, sizeof address);
  endpoint.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return endpoint;
}

Socket make_socket() {
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) fail_system("socket", errno);
  return socket;
}

}  // namespace

Socket listen_local(std::string_view name, int backlog) {
  Endpoint endpoint = abstract(name);
  Socket socket = make_socket();
  if (::bind(socket.descriptor(), endpoint.get(), endpoint.length) != 0) {
    int error = errno;
    if (error == EADDRINUSE) fail(ErrorCode::invalid_argument, "the local socket name " + quoted(name) + " is taken");
    fail_system("cannot bind the local socket " + quoted(name), error);
  }
  if (::listen(socket.descriptor(), backlog) != 0) fail_system("listen", errno);
  return socket;
}

Socket connect_local(std::string_view name, Deadline deadline, const std::function<bool()>& is_given_up) {
  Endpoint endpoint = abstract(name);
  Backoff backoff;
  for (;;) {
    Socket socket = make_socket();
    if (::connect(socket.descriptor(), endpoint.get(), endpoint.length) == 0) return socket;
    int error = errno;
    // Nobody listens yet; or the listener's queue is full, which a non-blocking Unix socket reports as EAGAIN.
    bool again = error == ECONNREFUSED || error == EAGAIN || error == EINTR;
    if (!again) fail_system("cannot connect to the local socket " + quoted(name), error);
    if (deadline.passed()) {
      const char* reason = error == EAGAIN ? "its queue of connections is full" : "nobody listens there";
      fail(ErrorCode::timeout, "cannot connect to the local socket " + quoted(name) + ": " + reason);
    }
    if (is_given_up && is_given_up()) fail(ErrorCode::closed, "nobody wants this connection any more");
    const auto look_again = Deadline::Clock::now() + between_looks;
    backoff.pause(is_given_up && look_again < deadline.moment() ? Deadline::at(look_again) : deadline);
  }
}

}  // namespace trireme::net
