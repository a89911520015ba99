// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/transport/link.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace trireme::transport {

class Arena;
class Doorbell;
class SocketTransport;

/// Who this rank is to its peers, and what its links share. The arena and the doorbell outlive every link.
struct Membership {
  std::string job_id;
  std::uint64_t epoch = 0;
  int rank = 0;
  int world_size = 1;
  net::JobKey key;
  std::shared_ptr<Arena> arena;
  std::shared_ptr<Doorbell> doorbell;
};

/// One way of moving bytes between ranks. Each folder (mem, shm, tcp) has the same floor plan and one door, a function
/// that returns this interface.
/// Of two ranks the higher connects and the lower accepts; every rank connects first, in ascending order of peers, and
/// then accepts: no order of start-up can deadlock. Where the higher cannot reach the lower they change places (`world`).
class Transport {
 public:
  virtual ~Transport() = default;
  virtual std::string_view name() const = 0;
  /// What peers need to reach this rank: published through the rendezvous. One line without spaces.
  virtual std::string card() const = 0;
  /// Whether a peer that published `peer_card` can be reached.
  virtual bool reaches(std::string_view peer_card) const = 0;
  /// Errors: timeout, peer_lost, invalid_argument (wrong job key), mismatch (another job, epoch, build or rank).
  virtual std::unique_ptr<Link> connect(int peer, std::string_view peer_card, Deadline deadline) = 0;
  /// A descriptor readable when a peer wants in; -1 when accept() never has to wait.
  virtual int listening_descriptor() const = 0;
  /// Takes one waiting connection through its handshake; {-1, null} when it was no peer of this world (dropped; the
  /// reason in `refusal`).
  virtual std::pair<int, std::unique_ptr<Link>> accept(Deadline deadline, std::string& refusal) = 0;
  /// The same transport in finer steps, where its links begin as sockets; else null.
  virtual SocketTransport* by_sockets() noexcept { return nullptr; }
};

/// A peer that has proved who it is, with a connection that is not part of a link yet: until seat() it may be cut, and dropped.
/// Threads: one at a time.
class Admission {
 public:
  explicit Admission(int peer) : peer_(peer) {}
  virtual ~Admission() = default;
  int peer() const { return peer_; }
  /// The link that this connection completes. Null while others of the same link are to come, or with the reason in `refusal`. Does
  /// not block. Once. Errors: system where the connection takes no options any more.
  virtual std::unique_ptr<Link> seat(std::string& refusal) = 0;

 private:
  int peer_;
};

/// A transport whose links begin as sockets: the two halves of connect and of accept, for whoever has other things to do
/// in between, or wants to end a handshake by shutting its socket down.
/// Threads: introduce and admit from any, at the same time.
class SocketTransport : public Transport {
 public:
  /// A connection to where `peer_card` points; who is there is not known yet. Errors: timeout.
  virtual net::Socket reach(int peer, std::string_view peer_card, Deadline deadline) = 0;
  /// Takes a connection that reach() made through its handshake. Errors: as connect.
  virtual std::unique_ptr<Link> introduce(int peer, net::Socket socket, Deadline deadline) const = 0;
  /// A connection that waits, or none at the deadline.
  virtual std::optional<net::Socket> take(Deadline deadline) = 0;
  /// Takes a connection that take() gave through its handshake; null when it was no peer of this world. Errors and refusal: as
  /// accept. Outlived by this transport.
  virtual std::unique_ptr<Admission> admit(net::Socket socket, Deadline deadline, std::string& refusal) const = 0;

  std::unique_ptr<Link> connect(int peer, std::string_view peer_card, Deadline deadline) final {
    return introduce(peer, reach(peer, peer_card, deadline), deadline);
  }
  std::pair<int, std::unique_ptr<Link>> accept(Deadline deadline, std::string& refusal) final {
    auto socket = take(deadline);
    if (!socket) return {-1, nullptr};
    const auto admitted = admit(*std::move(socket), deadline, refusal);
    if (!admitted) return {-1, nullptr};
    auto link = admitted->seat(refusal);
    const int peer = link ? admitted->peer() : -1;
    return {peer, std::move(link)};
  }
  SocketTransport* by_sockets() noexcept final { return this; }
};

}  // namespace trireme::transport
