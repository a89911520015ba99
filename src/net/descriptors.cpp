// SPDX-License-Identifier: Apache-2.0
#include "net/io_error.hpp"
#include "net/sockaddr.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace trireme::net {
namespace {

constexpr std::size_t most_descriptors = 16;

/// Room for the control part of one message, aligned as the kernel's macros want it.
union Control {
  cmsghdr header;
  char bytes[CMSG_SPACE(most_descriptors * sizeof(int))];
};

void check_count(std::size_t count) {
  if (count > most_descriptors) {
    fail(ErrorCode::invalid_argument,
         std::to_string(count) + " descriptors in one message: at most " + std::to_string(most_descriptors) + " fit");
  }
}

/// Takes every descriptor out of a received message.
std::vector<Socket> take_descriptors(msghdr& message) {
  std::vector<Socket> taken;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof descriptor);
      taken.emplace_back(descriptor);
    }
  }
  return taken;
}

}  // namespace

void send_descriptors(const Socket& socket, std::span<const int> descriptors, Deadline deadline) {
  check_count(descriptors.size());
  auto payload = static_cast<unsigned char>(descriptors.size());  // so that the receiver notices a stray byte
  iovec piece{&payload, 1};
  Control control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
  }
  while (::sendmsg(socket.descriptor(), &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) fail_io(socket, "sending descriptors to", errno);
    if (!wait_writable(socket, deadline)) fail_io_timeout(socket, "sending descriptors to", 0, 1);
  }
}

std::vector<Socket> receive_descriptors(const Socket& socket, std::size_t count, Deadline deadline) {
  check_count(count);
  unsigned char payload = 0;
  iovec piece{&payload, 1};
  Control control{};
  msghdr message{};
  for (;;) {
    message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    ssize_t received = ::recvmsg(socket.descriptor(), &message, MSG_CMSG_CLOEXEC);
    if (received > 0) break;
    if (received == 0) fail_io_closed(socket, 0, 1);
    if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) fail_io(socket, "receiving descriptors from", errno);
    if (!wait_readable(socket, deadline)) fail_io_timeout(socket, "receiving descriptors from", 0, 1);
  }
  // Owned from here on, as Sockets, whatever they are.
  std::vector<Socket> taken = take_descriptors(message);
  bool truncated = (message.msg_flags & MSG_CTRUNC) != 0;
  if (truncated || taken.size() != count || payload != count) {
    std::string why =
        truncated ? " (some were dropped: too many in the message, or this process's limit of open files)" : "";
    fail(ErrorCode::corrupt, peer_text(socket) + " sent " + std::to_string(taken.size()) + " descriptors where " +
                                 std::to_string(count) + " were due" + why);
  }
  return taken;
}

}  // namespace trireme::net
