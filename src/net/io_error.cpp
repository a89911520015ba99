// SPDX-License-Identifier: Apache-2.0
#include "net/io_error.hpp"

#include "net/sockaddr.hpp"
#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstring>

namespace trireme::net {
namespace {

std::string progress(std::size_t done, std::size_t total) {
  return " after " + std::to_string(done) + " of " + std::to_string(total) + " bytes";
}

}  // namespace

void fail_io(const Socket& socket, std::string_view action, int errno_value) {
  std::string what = std::string(action) + " " + peer_text(socket);
  switch (errno_value) {
    case EPIPE: fail(ErrorCode::closed, what + ": the connection is closed");
    case ECONNRESET:
    case ECONNABORTED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ECONNREFUSED:
      fail(ErrorCode::peer_lost, what + ": " + std::strerror(errno_value) + "; its process or host is gone");
    default: fail_system(what, errno_value);
  }
}

void fail_io_timeout(const Socket& socket, std::string_view action, std::size_t done, std::size_t total) {
  fail(ErrorCode::timeout,
       std::string(action) + " " + peer_text(socket) + ": no end by the deadline" + progress(done, total));
}

void fail_io_closed(const Socket& socket, std::size_t done, std::size_t total) {
  fail(ErrorCode::closed, peer_text(socket) + " has closed the connection" + progress(done, total));
}

}  // namespace trireme::net
