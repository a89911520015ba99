// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/framed_socket.hpp"

#include "rendezvous/protocol.hpp"
#include "trireme/net/wire.hpp"

#include <array>
#include <cerrno>

#include <sys/socket.h>

namespace trireme::rendezvous {

FramedSocket::FramedSocket(net::Socket socket) : socket_(std::move(socket)), reader_(frame_limit) {}

bool FramedSocket::receive() noexcept {
  // A bounded number of reads, so that one busy peer does not keep its server from the others.
  std::array<std::byte, 16384> buffer;
  for (int round = 0; round < 16; ++round) {
    ssize_t count = ::recv(socket_.descriptor(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count > 0) {
      reader_.append(std::span(buffer).first(static_cast<std::size_t>(count)));
      if (static_cast<std::size_t>(count) < buffer.size()) return true;
      continue;
    }
    if (count == 0) return false;
    if (errno == EINTR) continue;
    return survives(errno);
  }
  return true;
}

/// False when `error` is the end of the connection.
bool FramedSocket::survives(int error) noexcept {
  is_silent_ = error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
  return error == EAGAIN || error == EWOULDBLOCK;
}

void FramedSocket::queue(std::span<const std::byte> body) {
  net::Writer prefix;
  prefix.u32(static_cast<std::uint32_t>(body.size()));
  outgoing_.insert(outgoing_.end(), prefix.data().begin(), prefix.data().end());
  outgoing_.insert(outgoing_.end(), body.begin(), body.end());
}

bool FramedSocket::flush() noexcept {
  while (sent_ < outgoing_.size()) {
    ssize_t count =
        ::send(socket_.descriptor(), outgoing_.data() + sent_, outgoing_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      sent_ += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      return survives(errno);
    }
  }
  outgoing_.clear();
  sent_ = 0;
  return true;
}

}  // namespace trireme::rendezvous
