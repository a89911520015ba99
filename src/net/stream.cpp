// SPDX-License-Identifier: Apache-2.0
#include "net/io_error.hpp"
#include "net/sockaddr.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/net/wire.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include <sys/uio.h>

namespace trireme::net {
namespace {

/// Sends head, then body, without joining them in memory.
void send_both(const Socket& socket, std::span<const std::byte> head, std::span<const std::byte> body,
               Deadline deadline) {
  const std::size_t total = head.size() + body.size();
  while (!head.empty() || !body.empty()) {
    // sendmsg(2) does not write through these pointers; iovec is shared with readv(2).
    std::array<iovec, 2> pieces = {iovec{const_cast<std::byte*>(head.data()), head.size()},
                                   iovec{const_cast<std::byte*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    ssize_t sent = ::sendmsg(socket.descriptor(), &message, MSG_NOSIGNAL);
    if (sent >= 0) {
      std::size_t of_head = std::min(head.size(), static_cast<std::size_t>(sent));
      head = head.subspan(of_head);
      body = body.subspan(static_cast<std::size_t>(sent) - of_head);
      if (head.empty() && body.empty()) return;
    } else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
      fail_io(socket, "sending to", errno);
    }
    // Also between parts that did move: a peer that takes a byte now and then must not outlast the deadline.
    if (deadline.passed() || !wait_writable(socket, deadline)) {
      fail_io_timeout(socket, "sending to", total - head.size() - body.size(), total);
    }
  }
}

}  // namespace

void send_all(const Socket& socket, std::span<const std::byte> bytes, Deadline deadline) {
  send_both(socket, bytes, {}, deadline);
}

void receive_all(const Socket& socket, std::span<std::byte> bytes, Deadline deadline) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    ssize_t received = ::recv(socket.descriptor(), bytes.data() + done, bytes.size() - done, 0);
    if (received == 0) fail_io_closed(socket, done, bytes.size());
    if (received > 0) {
      done += static_cast<std::size_t>(received);
      if (done == bytes.size()) return;
    } else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
      fail_io(socket, "receiving from", errno);
    }
    if (deadline.passed() || !wait_readable(socket, deadline)) {
      fail_io_timeout(socket, "receiving from", done, bytes.size());
    }
  }
}

void send_message(const Socket& socket, std::span<const std::byte> bytes, Deadline deadline) {
  if (bytes.size() > std::numeric_limits<std::uint32_t>::max()) {
    fail(ErrorCode::invalid_argument, "a message of " + std::to_string(bytes.size()) + " bytes: at most 4 GiB - 1 fit");
  }
  Writer header;
  header.u32(static_cast<std::uint32_t>(bytes.size()));
  send_both(socket, header.data(), bytes, deadline);
}

std::vector<std::byte> receive_message(const Socket& socket, std::size_t limit_bytes, Deadline deadline) {
  std::array<std::byte, 4> header{};
  receive_all(socket, header, deadline);
  std::size_t length = Reader(header).u32();
  if (length > limit_bytes) {
    fail(ErrorCode::corrupt, peer_text(socket) + " announces a message of " + std::to_string(length) +
                                 " bytes where at most " + std::to_string(limit_bytes) + " are allowed");
  }
  std::vector<std::byte> bytes(length);
  receive_all(socket, bytes, deadline);
  return bytes;
}

}  // namespace trireme::net
