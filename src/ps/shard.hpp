// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/ps/consistency.hpp"
#include "trireme/ps/key_plan.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace trireme::ps {

/// What one event loop of one server does.
struct ShardOptions {
  std::uint32_t server = 0;
  std::uint32_t loop = 0;
  std::uint64_t incarnation = 0;  ///< of the server: what Welcome says, and views
  std::shared_ptr<const KeyPlan> plan;
  Consistency consistency{};
  std::uint32_t workers = 1;         ///< bulk-synchronous: how many contributions make a sum
  std::uint32_t backup_workers = 0;  ///< bulk-synchronous: so many of them are not waited for
  std::uint32_t leaves = 1;
  std::string settings{};  ///< must equal each Join's
  /// Null: a summation service; sums go back to the workers. Else the rule that is applied here.
  std::function<std::unique_ptr<Optimizer>()> make_optimizer{};
  bool staleness_aware = false;    ///< asynchronous: the learning rate is divided by 1 + updates missed / workers
  std::uint64_t memory_bytes = 0;  ///< for payloads that wait; 0: unbounded
  /// Keys have replicas, where the plan says so: who owns the shard has its proposals decided.
  bool has_views = false;
};

/// Whom a connection leads to; chosen by whoever owns the connections.
using ConnectionId = std::uint64_t;

/// What a shard wants sent. Payloads that go to many are shared, not copied.
struct Outgoing {
  ConnectionId to = 0;
  Control control;
  std::shared_ptr<const Payload> payload{};  ///< may be null
};

/// The state of one event loop: keys, sums under way, clocks, optimizer state; a function of the messages it is given and of their
/// order, without threads, clocks or sockets, so schedules can be explored and replayed, and a replica is a second one that is
/// given the same. One thread.
class Shard {
 public:
  explicit Shard(ShardOptions options);
  ~Shard();

  /// Handles one message that has been parsed but not believed: keys, counts and lengths are checked here, and what does not fit is
  /// answered by Failed or Refused. Appends to `out`.
  void handle(ConnectionId from, Message message, std::vector<Outgoing>& out);
  /// The connection has ended. Asynchronous and stale-synchronous: the worker, if it was one, is not waited for any more (it may join again,
  /// and its sequences are still known). Bulk-synchronous: the others learn that it is lost, by name.
  void connection_lost(ConnectionId from, std::vector<Outgoing>& out);
  /// The connection to the server that is to hold replicas of what is served here.
  void set_replica(ConnectionId connection, std::vector<Outgoing>& out);
  void replica_lost(std::vector<Outgoing>& out);

  /// Views that are to be decided, each once: to be asked for after every call, the first time at the beginning.
  std::vector<View> take_proposals();
  /// What was decided about a view that was proposed: the proposal, or what another proposed before.
  void decided(const View& view, std::vector<Outgoing>& out);
  /// What was before is known, and this server's own keys, if it serves them, have had a replica, or are served without. Until then
  /// workers wait.
  bool is_settled() const;
  /// They are, from now on, as no replica has come.
  void serve_alone(std::vector<Outgoing>& out);

  /// Bytes of payloads that wait for others, now and at most.
  std::uint64_t waiting_bytes() const;
  std::uint64_t most_waiting_bytes() const;
  /// Counters, for explain(), tests and metrics.
  struct Statistics {
    std::uint64_t pushes = 0, duplicates = 0, dropped = 0, updates = 0, pulls = 0, delayed_pulls = 0;
    std::uint64_t most_staleness = 0;  ///< the largest number of a worker's steps that an answered pull missed
  };
  const Statistics& statistics() const;
  /// Groups of keys served here, and those of them that have a replica.
  std::pair<std::uint32_t, std::uint32_t> served_groups() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::ps
