// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::net {

/// An owned descriptor: of a stream socket, CLOEXEC and non-blocking, or of whatever a peer passed. Move only.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) noexcept : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  int descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void close() noexcept;
  /// Gives the descriptor away.
  int release() noexcept;

 private:
  int descriptor_ = -1;
};

/// A numeric or named TCP address. Text form: "host:port", "[v6]:port".
struct Address {
  std::string host;
  std::uint16_t port = 0;

  /// Errors: invalid_argument naming the text when there is no port, a bad port or an unclosed bracket.
  static Address parse(std::string_view text);
  std::string to_string() const;
  friend bool operator==(const Address&, const Address&) = default;
};

/// Listens on `bind` (port 0: any free one; host "" : all addresses of both families, else what the name resolves to).
/// Errors: invalid_argument naming the address when it is taken or not of this host (those are the user's to choose);
///         system otherwise.
Socket listen_tcp(const Address& bind, int backlog = 128);

/// The address a socket is bound to; the one at the other end. Errors: peer_lost when there is none any more.
Address local_address(const Socket& socket);
Address peer_address(const Socket& socket);

/// Connects, trying every address the name resolves to (both families, in turn) and, until the deadline, again with
/// back-off while the name does not resolve yet or the connection is refused or not answered. Calls set_stream_options.
/// Threads: a name (not a numeric address) is looked up on a thread that is left behind at the deadline.
/// Errors: timeout naming the address and the last reason; invalid_argument when host or port is missing.
Socket connect_tcp(const Address& address, Deadline deadline);

/// A connection to whichever of `candidates` answers first.
struct RaceResult {
  Socket socket;
  std::size_t winner = 0;    ///< index into the candidates
  std::size_t attempts = 0;  ///< how many connections were begun
};

/// Connects to all candidates at once, numeric addresses of one peer in order of preference: each starts 50 ms behind the
/// one before it, the first to stand wins, the others are dropped. A refused one tries again with back-off.
/// `buffer_bytes`: as set_buffers; 0: not called. `is_given_up`: asked every 50 ms; true ends the wait.
/// Errors: timeout naming each address with its last reason; closed when it was given up; invalid_argument for one that is no address.
/// Source: RFC 8305 (Happy Eyeballs), with the shorter pause of a data centre.
RaceResult race_tcp(std::span<const Address> candidates, Deadline deadline, std::size_t buffer_bytes = 0,
                    const std::function<bool()>& is_given_up = {});

/// Options for a connection: TCP_NODELAY, keepalive, TCP_USER_TIMEOUT (5 s).
void set_stream_options(const Socket& socket);
/// For a connection whose other end may leave much unread for as long as it likes: takes TCP_USER_TIMEOUT away, which
/// also cuts a connection whose window is closed. A SilenceWatch then finds dead hosts while data is under way.
void let_stall(const Socket& socket);

/// Fixes the kernel's buffers of a connection, which it otherwise grows with what the path can hold, as far as it grants.
/// Before connecting; on a listener: of all its connections.
void set_buffers(const Socket& socket, std::size_t bytes);
/// From about so many bytes that have not left yet a connection takes no more and is not writable.
void limit_unsent(const Socket& socket, std::size_t bytes);

/// Instead of three unanswered probes of an idle connection, sixty, one a second, end it.
void probe_patiently(const Socket& socket);

/// The kernel's congestion control of a connection, or of all those a listener will take. False when the kernel knows
/// none of that name or does not grant it to this process.
bool set_congestion(const Socket& socket, const std::string& name);
std::string congestion(const Socket& socket);
/// Empty: the system's, but cubic where that is bbr and the process may choose; training rests and bursts in turn, and bbr
/// takes the rate of the one for that of the path. "system": the system's, whatever it is. Else that of the name: false as above.
bool settle_congestion(const Socket& socket, const std::string& wanted);

/// Abstract Unix sockets: nothing appears in any file system; names are 1 to 107 bytes. Connecting tries again until
/// the deadline while nobody listens; `is_given_up` as of race_tcp.
/// Errors: invalid_argument naming the name when it is taken or of another length; timeout naming it; closed when it was given up.
Socket listen_local(std::string_view name, int backlog = 128);
Socket connect_local(std::string_view name, Deadline deadline, const std::function<bool()>& is_given_up = {});

/// The next connection, or nothing at the deadline. TCP connections get set_stream_options.
std::optional<Socket> accept(const Socket& listener, Deadline deadline);

/// Waits until `socket` can be read (written); false at the deadline.
bool wait_readable(const Socket& socket, Deadline deadline);
bool wait_writable(const Socket& socket, Deadline deadline);

/// All bytes or an error: timeout at the deadline, closed when the peer has closed, peer_lost on a reset.
void send_all(const Socket& socket, std::span<const std::byte> bytes, Deadline deadline);
void receive_all(const Socket& socket, std::span<std::byte> bytes, Deadline deadline);

/// A message: u32 little-endian length, then so many bytes.
void send_message(const Socket& socket, std::span<const std::byte> bytes, Deadline deadline);
/// Errors: as receive_all; corrupt when the length is above `limit_bytes` (nothing is allocated then).
std::vector<std::byte> receive_message(const Socket& socket, std::size_t limit_bytes, Deadline deadline);

/// Passes descriptors over a Unix socket (SCM_RIGHTS), with one byte of payload. At most 16. Received ones are CLOEXEC.
void send_descriptors(const Socket& socket, std::span<const int> descriptors, Deadline deadline);
/// Errors: as receive_all; corrupt when other than `count` arrive (any that did are closed).
std::vector<Socket> receive_descriptors(const Socket& socket, std::size_t count, Deadline deadline);

}  // namespace trireme::net
