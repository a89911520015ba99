// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/net/socket.hpp"

#include <cstddef>
#include <memory>
#include <span>

#include <sys/uio.h>

namespace trireme::net {

class Tls;

/// Bytes to and from a stream socket, as they are, or through TLS 1.3. Never waits, but where a deadline is given. Move only.
/// Threads: one at a time.
class Connection {
 public:
  Connection();
  explicit Connection(Socket socket);
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  /// Behind the handshake: all that follows goes through TLS, on both sides. `secret`: that of the handshake.
  /// Errors: corrupt when the other end does not do the same with the same secret; as receive_all.
  void secure_as_client(const SessionSecret& secret, Deadline deadline);
  void secure_as_server(const SessionSecret& secret, Deadline deadline);
  bool is_secure() const { return tls_ != nullptr; }

  const Socket& socket() const { return socket_; }
  int descriptor() const { return socket_.descriptor(); }
  bool is_open() const { return socket_.is_open(); }
  void close() noexcept;

  /// What came of one attempt. Nothing moved: it `is_over`, with an errno (0: closed by the peer), or it is not possible now.
  struct Moved {
    std::size_t bytes = 0;
    bool is_over = false;
    int error = 0;
    bool is_all_there_is = false;  ///< of a read: another one would find nothing
  };
  Moved receive(std::span<const iovec> pieces);
  /// Bytes that were not taken must be given again, all of them and before others.
  Moved send(std::span<const iovec> pieces);

 private:
  Socket socket_;
  std::unique_ptr<Tls> tls_;
};

/// All bytes or an error: as of a Socket.
void send_all(Connection& connection, std::span<const std::byte> bytes, Deadline deadline);
void receive_all(Connection& connection, std::span<std::byte> bytes, Deadline deadline);

}  // namespace trireme::net
