// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/frame_reader.hpp"
#include "trireme/net/socket.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::rendezvous {

/// A connection that carries frames both ways and never blocks: whoever owns it waits with poll or epoll.
class FramedSocket {
 public:
  explicit FramedSocket(net::Socket socket);

  /// Takes in what has arrived. False once the peer has closed or the connection broke; frames that came before that
  /// are still there for next(). Errors never throw.
  bool receive() noexcept;
  /// The next whole frame.
  std::optional<std::vector<std::byte>> next() { return reader_.next(); }
  bool is_corrupt() const { return reader_.is_corrupt(); }

  /// Puts a frame behind those not yet sent.
  void queue(std::span<const std::byte> body);
  /// Sends what the system takes now. False when the connection broke.
  bool flush() noexcept;
  std::size_t queued_bytes() const { return outgoing_.size() - sent_; }

  /// Whether the connection broke because the peer's host no longer answers: dead, or cut off.
  bool is_silent() const { return is_silent_; }

  const net::Socket& socket() const { return socket_; }
  int descriptor() const { return socket_.descriptor(); }

 private:
  bool survives(int error) noexcept;
  net::Socket socket_;
  FrameReader reader_;
  std::vector<std::byte> outgoing_;
  std::size_t sent_ = 0;
  bool is_silent_ = false;
};

}  // namespace trireme::rendezvous
