// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/log.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/ps/consistency.hpp"
#include "trireme/ps/key_plan.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme::ps {

/// How others reach a server: what it publishes.
struct ServerCard {
  std::uint32_t server = 0;
  std::uint64_t incarnation = 0;
  std::string host{};                     ///< net::host identity: the same host may use `local`
  std::vector<net::Address> addresses{};  ///< in order of preference, one port for all event loops
  std::string local{};                    ///< abstract Unix socket; empty: none
  std::string to_text() const;
  /// Errors: corrupt.
  static ServerCard parse(std::string_view text);
};

struct ServerOptions {
  std::uint32_t server = 0;
  std::shared_ptr<const KeyPlan>
      plan;  ///< null: taken from the first worker that joins (dedicated servers know no model)
  Consistency consistency{};
  std::uint32_t workers = 1;
  std::uint32_t backup_workers = 0;
  std::uint32_t leaves = 1;
  std::string settings{};
  std::function<std::unique_ptr<Optimizer>()> make_optimizer{};  ///< null: sums only
  bool staleness_aware = false;
  Bytes memory{1u << 30};  ///< for payloads that wait, all loops together
  std::vector<net::Address> bind{{"127.0.0.1", 0}};
  std::string congestion{};  ///< of TCP, as net::settle_congestion() takes it
  net::JobKey key;
  std::string job_id;
  std::uint64_t epoch = 0;
  /// Behind the handshake all goes through TLS 1.3, keyed by the job key: nobody else reads it, or changes it unseen. All servers and
  /// workers of a job alike.
  bool tls = false;
  /// Where the other servers are now (for replicas); empty: no replicas. Asked again after each loss.
  std::function<std::vector<ServerCard>()> others{};
  /// With replicas: says `text` of `what` if no server has said anything of it yet; returns what was said first. All servers of
  /// the job ask the same place. It may wait, and throw while that place is not reached: it is asked again.
  std::function<std::string(const std::string& what, const std::string& text)> first_said{};
  Log log{};
};

/// A parameter server: a few event loops, each a thread, each with its own keys, for any number of connections.
/// Threads: any.  Errors: of one connection end that connection, with one log line.
class Server {
 public:
  /// Listens, and serves from now on. Errors: as net::listen_tcp.
  static std::unique_ptr<Server> start(ServerOptions options);
  virtual ~Server() = default;
  virtual ServerCard card() const = 0;
  struct Statistics {
    std::uint64_t connections = 0, pushes = 0, pulls = 0, duplicates = 0, refused = 0;
    std::uint64_t dropped = 0;  ///< pushes for sums that were complete without them: of backup workers
    std::uint64_t bytes_in = 0, bytes_out = 0, waiting_bytes = 0, most_waiting_bytes = 0, most_staleness = 0;
    std::uint64_t queued_bytes = 0, most_queued_bytes = 0;  ///< for peers that have not taken them yet
    /// Keys of so many servers, in each event loop, are served here; and of so many of them another server has a replica.
    std::uint32_t served_groups = 0, replicated_groups = 0;
  };
  virtual Statistics statistics() const = 0;
  /// Workers that have joined and neither left nor been lost; that have left in order.
  virtual std::uint32_t present() const = 0;
  virtual std::uint32_t left() const = 0;
  /// Why it serves nobody any more: an error within, of which its workers have been told. None: it serves.
  virtual std::optional<Error> failure() const = 0;
};

}  // namespace trireme::ps
