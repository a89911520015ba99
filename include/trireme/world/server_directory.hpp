// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/platform/environment.hpp"
#include "trireme/ps/server.hpp"
#include "trireme/rendezvous/store.hpp"
#include "trireme/world/world.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

/// What the workers of a job say of it in its store, for its launcher and for who joins later.
enum class JobFact : unsigned char {
  replicated_servers,   ///< each parameter server's keys are on another one, too: the job outlives any one of them
  independent_workers,  ///< workers wait for no other one: the job goes on without those that are lost, but for worker 0
  servers_have_values,  ///< worker 0's: the initial ones, or those of a checkpoint
  workers_stop,         ///< worker 0 has, before the end, to be started again
};

/// What servers must know of the workers.
struct JobShape {
  std::uint32_t workers = 1;
  std::uint32_t leaves = 1;  ///< V of the canonical tree
};

void declare(rendezvous::Store& store, JobFact fact);
bool is_declared(rendezvous::Store& store, JobFact fact);
/// Of a worker that has said so itself, nothing new.
void note_ended_worker(rendezvous::Store& store, std::uint32_t worker);
/// The process of a server has ended, and none is started in its place: its card leads nowhere.
void note_gone_server(rendezvous::Store& store, std::uint32_t server);

/// How the parameter servers of a job and its workers find each other: cards in the job's store, a new one for each life of a
/// server. Under `trireme run` and `trireme entry` their launcher serves the store; where no launcher of ours does, worker 0.
/// Threads: any.  Errors: those of rendezvous::Store.
class ServerDirectory {
 public:
  enum class Opened : unsigned char {
    before_world,  ///< by a worker whose World is opened later, or never: worker 0 serves the store, if nobody else does
    beside_world,  ///< by a worker whose World is open
    by_server      ///< by a process that is a server; takes the job key out of the environment, as World::open does
  };
  /// Joins the store that options and environment describe, waiting for it until Options::join_timeout (TRIREME_JOIN_TIMEOUT_S).
  /// `environment`: what the process was started with; World::open takes the job key out of its own.
  /// Errors: invalid_argument naming option or variable, or for a process alone in the world; timeout.
  static std::shared_ptr<ServerDirectory> open(const Options& options, const platform::Environment& environment,
                                               Opened opened);
  /// The same over a store of the caller's, for threads of one process.
  static std::shared_ptr<ServerDirectory> over(std::unique_ptr<rendezvous::Store> store, net::JobKey key,
                                               std::string job_id);
  virtual ~ServerDirectory() = default;

  virtual const net::JobKey& key() const = 0;
  virtual const std::string& job_id() const = 0;
  virtual std::chrono::milliseconds join_timeout() const = 0;
  virtual std::chrono::milliseconds timeout() const = 0;  ///< of a wait without progress: TRIREME_TIMEOUT_S
  virtual const Log& log() const = 0;
  /// Whether workers and servers talk through TLS: TRIREME_TLS.
  virtual bool tls() const = 0;
  /// Where a server of this process should listen: on loopback when the whole job is on this host, else on all addresses of the
  /// interfaces that TRIREME_INTERFACE or the platform names.
  virtual std::vector<net::Address> listen_addresses() const = 0;
  /// For ServerOptions::congestion and ClientOptions::congestion: TRIREME_TCP_CONGESTION.
  virtual std::string congestion() const = 0;

  /// What others are to know of a server: where Options::transport (TRIREME_TRANSPORT) is tcp, nothing of its local socket.
  virtual ps::ServerCard told(ps::ServerCard card) const = 0;
  /// Makes a server known, as told(), again after every start.
  virtual void publish(const ps::ServerCard& card) = 0;
  /// The newest cards of servers 0 to `servers` - 1. Says every 30 s which are missing, the first time after 5.
  /// Errors: timeout naming the servers that are missing.
  virtual std::vector<ps::ServerCard> await(std::uint32_t servers, Deadline deadline) = 0;
  /// The newest cards there are now of servers 0 to `servers` - 1, by number, but of those that are known to have ended for good
  /// (note_gone_server()); where the store does not answer any more, the last ones that were seen.
  virtual std::vector<ps::ServerCard> current(std::uint32_t servers) = 0;

  virtual void declare(JobFact fact) = 0;
  /// Says `text` of `what` if nobody has said anything of it yet; what was said first. For what all must have alike.
  virtual std::string first_said(const std::string& what, const std::string& text) = 0;
  /// What somebody has said of `what`, once he has. Waits, and lets others ask meanwhile. Errors: timeout.
  virtual std::string heard(const std::string& what, Deadline deadline) = 0;
  virtual bool is_declared(JobFact fact) = 0;
  /// Worker 0 says who trains; servers ask. Waits. Errors: timeout.
  virtual void publish(const JobShape& shape) = 0;
  virtual JobShape await_shape(Deadline deadline) = 0;
  /// A worker's last word. The launcher of a job of independent workers says it for those that it lost.
  virtual void worker_ended(std::uint32_t worker) = 0;
  /// How many of workers 0 to `workers` - 1 have; one question to the store for each that has not.
  virtual std::uint32_t workers_ended(std::uint32_t workers) = 0;
  /// The same of servers, so that they leave one another when all know that it is over.
  virtual void server_ended() = 0;
  virtual std::uint32_t servers_ended() = 0;
  /// Whether the store still answers: it ends with the job.
  virtual bool is_open() = 0;
};

}  // namespace trireme
