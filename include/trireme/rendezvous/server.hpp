// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/rendezvous/cause.hpp"
#include "trireme/rendezvous/control.hpp"
#include "trireme/rendezvous/store.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace trireme::rendezvous {

/// Serves the store and the coordinator of one world over TCP, on one thread of its own, with no limit on the number
/// of ranks but descriptors. Run by the launcher, or by rank 0 where no launcher of ours is.
/// A connection that fails its handshake is dropped with one log line and disturbs nobody; a slow one blocks nobody.
/// The destructor ends a collection that has begun, so that its verdict is published, and waits for ranks that are about
/// to leave (`linger`); to those that stay it says goodbye, and they go on without a coordinator.
class Server {
 public:
  struct Options {
    net::Address bind{"127.0.0.1", 0};
    net::JobKey key;
    std::string job_id;
    std::uint64_t epoch = 0;
    int world_size = 1;
    int serving_rank = -1;                      ///< the rank whose process this is, -1: a launcher; for messages
    std::string members = "rank";               ///< what messages call a member: launchers of several hosts are nodes
    std::chrono::milliseconds collection{200};  ///< how long causes are collected before the verdict
    std::chrono::milliseconds linger{1000};     ///< how long the destructor waits for ranks to leave
    Log log{};
  };
  /// Errors: as net::listen_tcp.
  static std::unique_ptr<Server> start(Options options);
  virtual ~Server() = default;

  /// Where it listens, with the real port.
  virtual net::Address address() const = 0;
  /// The launcher saw the process of `rank` end without success; `detail` says how ("killed by signal 9").
  virtual void process_ended(int rank, std::string detail) = 0;
  /// The launcher saw the process of `rank` end in order though before its time. The others learn of it, as of any end, only if
  /// it had not left its world: those that left theirs may still be saving what they have.
  virtual void process_interrupted(int rank, std::string detail) = 0;
  /// The launcher saw the process of `rank` end with success. If it never joined and others want to, they learn that it
  /// will not come; if it ended without leaving its world, they learn that.
  virtual void process_succeeded(int rank) = 0;
  /// Stops as the destructor does, for the launcher whose ranks have all ended: what is asked afterwards has a final answer.
  virtual void settle() = 0;
  /// Whether the process of `rank` ended with success before it had left its world.
  virtual bool left_open(int rank) const = 0;
  /// What the coordinator has decided, if it has.
  virtual std::optional<Cause> verdict() const = 0;
  /// True once every rank of the world has opened its control channel.
  virtual bool everyone_joined() const = 0;
};

/// How a client reaches a Server.
struct ServerAddress {
  net::Address address;
  net::JobKey key;
  std::string job_id;
  std::uint64_t epoch = 0;
  int rank = 0;
  int world_size = 0;            ///< as this rank was told; a server that was told another refuses it. 0: not compared
  int serving_rank = -1;         ///< the rank whose process serves, -1: a launcher
  std::string members = "rank";  ///< as Server::Options
  Log log{};                     ///< for whom it looks while nobody answers, every 30 s, the first time after:
  std::chrono::milliseconds first_reminder{5000};
};

/// A store served by `server`, retried until the deadline while nobody listens there.
/// Errors: timeout naming the address; invalid_argument "wrong job key".
std::unique_ptr<Store> connect_store(const ServerAddress& server, Deadline deadline);

/// The same, for who outlives a connection: one that broke is dialled again by the next call, for a second at most, and after calls
/// that did not reach the server not before a pause. What is the same asked twice (all but add() of something) is asked again by
/// itself; add() whose answer was lost fails with peer_lost, for it may have been added.
/// Errors: as connect_store.
std::unique_ptr<Store> connect_lasting_store(const ServerAddress& server, Deadline deadline);

/// The control channel of `server.rank`.
/// Errors: as connect_store; invalid_argument when the rank is outside the world or there already.
std::unique_ptr<ControlChannel> connect_control(const ServerAddress& server, ControlListener& listener,
                                                Deadline deadline);

}  // namespace trireme::rendezvous
