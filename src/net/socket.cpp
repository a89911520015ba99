// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/socket.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace trireme::net {
namespace {

bool wait_for(const Socket& socket, short events, Deadline deadline) {
  // poll(2) skips negative descriptors in silence: without this check a closed socket would wait out the deadline.
  if (!socket.is_open()) fail(ErrorCode::closed, "waiting on a socket that is not open");
  for (;;) {
    pollfd entry{socket.descriptor(), events, 0};
    int ready = ::poll(&entry, 1, deadline.milliseconds_left());
    if (ready > 0) {
      if ((entry.revents & POLLNVAL) != 0) fail_system("poll", EBADF);
      return true;  // POLLERR and POLLHUP too: the next read or write tells which error it is
    }
    if (ready < 0 && errno != EINTR) fail_system("poll", errno);
    if (ready == 0 && deadline.passed()) return false;
  }
}

/// Errors of accept(2) that belong to one connection that came and went, not to the listener.
bool concerns_one_connection(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET: return true;
    default: return false;
  }
}

}  // namespace

Socket::Socket(Socket&& other) noexcept : descriptor_(other.release()) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    descriptor_ = other.release();
  }
  return *this;
}

Socket::~Socket() { close(); }

void Socket::close() noexcept {
  // Not repeated after EINTR: on Linux the descriptor is gone by then and may already belong to another thread.
  if (is_open()) ::close(release());
}

int Socket::release() noexcept { return std::exchange(descriptor_, -1); }

bool wait_readable(const Socket& socket, Deadline deadline) { return wait_for(socket, POLLIN, deadline); }

bool wait_writable(const Socket& socket, Deadline deadline) { return wait_for(socket, POLLOUT, deadline); }

std::optional<Socket> accept(const Socket& listener, Deadline deadline) {
  for (;;) {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    Socket connection(
        ::accept4(listener.descriptor(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection.is_open()) {
      if (peer.ss_family == AF_INET || peer.ss_family == AF_INET6) set_stream_options(connection);
      return connection;
    }
    int error = errno;
    if (concerns_one_connection(error)) {
      if (deadline.passed()) return std::nullopt;  // a storm of such connections must not outlast the deadline
      continue;
    }
    if (error != EAGAIN && error != EWOULDBLOCK) fail_system("accept", error);
    if (!wait_readable(listener, deadline)) return std::nullopt;
  }
}

}  // namespace trireme::net
