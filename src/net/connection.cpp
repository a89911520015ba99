// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/connection.hpp"

#include "net/io_error.hpp"
#include "net/tls.hpp"

#include <cerrno>
#include <utility>

#include <sys/socket.h>

namespace trireme::net {
namespace {

std::size_t bytes_in(std::span<const iovec> pieces) {
  std::size_t bytes = 0;
  for (const iovec& piece : pieces) bytes += piece.iov_len;
  return bytes;
}

/// recvmsg(2) or sendmsg(2), once.
template <class Call>
Connection::Moved plain(std::span<const iovec> pieces, bool reads, Call&& call) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // neither call writes to it
  message.msg_iovlen = pieces.size();
  ssize_t count = 0;
  do count = call(message);
  while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
  if (count < 0) return {.is_over = true, .error = errno};
  const auto moved = static_cast<std::size_t>(count);
  if (moved == 0 && reads) return {.is_over = true};
  return {.bytes = moved, .is_all_there_is = moved < bytes_in(pieces)};
}

}  // namespace

Connection::Connection() = default;
Connection::Connection(Socket socket) : socket_(std::move(socket)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

void Connection::secure_as_client(const SessionSecret& secret, Deadline deadline) {
  tls_ = std::make_unique<Tls>(socket_, Tls::Side::client, secret, deadline);
}

void Connection::secure_as_server(const SessionSecret& secret, Deadline deadline) {
  tls_ = std::make_unique<Tls>(socket_, Tls::Side::server, secret, deadline);
}

void Connection::close() noexcept {
  tls_.reset();
  socket_.close();
}

Connection::Moved Connection::receive(std::span<const iovec> pieces) {
  if (!tls_)
    return plain(pieces, true, [&](msghdr& message) { return ::recvmsg(descriptor(), &message, MSG_DONTWAIT); });
  Moved all;
  for (const iovec& piece : pieces) {
    if (piece.iov_len == 0) continue;
    const Tls::Moved moved = tls_->receive({static_cast<std::byte*>(piece.iov_base), piece.iov_len});
    all.bytes += moved.bytes;
    if (moved.is_over && all.bytes == 0) return {.is_over = true, .error = moved.error};
    if (moved.bytes < piece.iov_len) break;
  }
  return all;
}

Connection::Moved Connection::send(std::span<const iovec> pieces) {
  if (!tls_) {
    return plain(pieces, false,
                 [&](msghdr& message) { return ::sendmsg(descriptor(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
  }
  const Tls::Moved moved = tls_->send(pieces);
  return {.bytes = moved.bytes, .is_over = moved.is_over, .error = moved.error};
}

void send_all(Connection& connection, std::span<const std::byte> bytes, Deadline deadline) {
  for (std::size_t done = 0; done < bytes.size();) {
    const iovec piece{const_cast<std::byte*>(bytes.data() + done), bytes.size() - done};  // it is read only
    const Connection::Moved moved = connection.send({&piece, 1});
    if (moved.is_over) fail_io(connection.socket(), "sending to", moved.error == 0 ? EPIPE : moved.error);
    done += moved.bytes;
    if (moved.bytes == 0 && !wait_writable(connection.socket(), deadline))
      fail_io_timeout(connection.socket(), "sending to", done, bytes.size());
  }
}

void receive_all(Connection& connection, std::span<std::byte> bytes, Deadline deadline) {
  for (std::size_t done = 0; done < bytes.size();) {
    const iovec piece{bytes.data() + done, bytes.size() - done};
    const Connection::Moved moved = connection.receive({&piece, 1});
    if (moved.is_over && moved.error == 0) fail_io_closed(connection.socket(), done, bytes.size());
    if (moved.is_over) fail_io(connection.socket(), "receiving from", moved.error);
    done += moved.bytes;
    if (moved.bytes == 0 && !wait_readable(connection.socket(), deadline))
      fail_io_timeout(connection.socket(), "receiving from", done, bytes.size());
  }
}

}  // namespace trireme::net
