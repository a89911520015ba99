// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/shard.hpp"
#include "trireme/ps/in_process.hpp"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace trireme::ps {

/// What servers have sent to one client, until it looks.
/// Threads: any.
class Mailbox {
 public:
  void put(Outgoing message);
  /// The next message; none by `deadline`.
  std::optional<Outgoing> take(Deadline deadline);

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<Outgoing> messages_;
};

/// Shards of servers in this process. A message is handled by the thread that sends it, or, where the shard is at work, by the
/// thread that is there: so each shard sees one message at a time, in the order sent, and no lock is held while it works.
/// Threads: any.
class InProcessHub {
 public:
  explicit InProcessHub(const InProcessOptions& options);

  const InProcessOptions& options() const { return options_; }
  /// Shards are numbered server by server, loop by loop.
  std::size_t shards() const { return seats_.size(); }
  std::size_t shard_of(const KeyInfo& key) const {
    return std::size_t{key.server} * options_.plan->options().loops + key.loop;
  }

  /// A connection to every shard; the first has the number returned, the others follow.
  ConnectionId connect(std::shared_ptr<Mailbox> mailbox);
  /// Its mailbox gets nothing more.
  void disconnect(ConnectionId first);
  /// Over connection `first + shard`; no message: it has ended.
  void send(ConnectionId first, std::size_t shard, std::optional<Message> message);

  InProcessServers::Statistics statistics();

 private:
  struct Incoming {
    ConnectionId from = 0;
    std::optional<Message> message;
  };
  struct Seat {
    std::mutex mutex;
    std::deque<Incoming> incoming;
    bool taken = false;  ///< somebody handles what is incoming
    std::condition_variable left;
    std::unique_ptr<Shard> shard;
    std::string failure;  ///< why it serves no more; of whoever handles what is incoming
  };
  void handle(Seat& seat, Incoming incoming);
  void post(std::vector<Outgoing>& messages);

  InProcessOptions options_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::mutex mutex_;
  std::unordered_map<ConnectionId, std::shared_ptr<Mailbox>> mailboxes_;  ///< by first connection
  ConnectionId clients_ = 0;
};

}  // namespace trireme::ps
