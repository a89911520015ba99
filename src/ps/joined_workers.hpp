// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"
#include "ps/shard.hpp"

#include <cstdint>
#include <map>

namespace trireme::ps {

inline std::uint32_t rank_of(WorkerId worker) { return static_cast<std::uint32_t>(worker >> 32); }

/// Who works with this loop, by rank: the connection of each, and how it ended.
class JoinedWorkers {
 public:
  struct Worker {
    WorkerId id = 0;
    ConnectionId connection = 0;
    std::uint64_t attempt = 0;  ///< of the connection
    bool present = false;       ///< has joined, and neither left nor been lost
    bool left = false;          ///< in order
  };
  /// In place of who had that rank before.
  void join(WorkerId id, ConnectionId connection, std::uint64_t attempt) {
    Worker& worker = by_rank_[rank_of(id)];
    if (worker.present) by_connection_.erase(worker.connection);
    worker = {.id = id, .connection = connection, .attempt = attempt, .present = true};
    by_connection_[connection] = rank_of(id);
  }
  /// Null: the connection is no worker's.
  Worker* of(ConnectionId connection) {
    const auto found = by_connection_.find(connection);
    return found == by_connection_.end() ? nullptr : &by_rank_.at(found->second);
  }
  Worker* of_rank(std::uint32_t rank) {
    const auto found = by_rank_.find(rank);
    return found == by_rank_.end() ? nullptr : &found->second;
  }
  void end(Worker& worker, bool in_order) {
    by_connection_.erase(worker.connection);
    worker.present = false;
    worker.left = in_order;
  }
  bool present(std::uint32_t rank) const {
    const auto found = by_rank_.find(rank);
    return found != by_rank_.end() && found->second.present;
  }
  const std::map<std::uint32_t, Worker>& by_rank() const { return by_rank_; }

 private:
  std::map<std::uint32_t, Worker> by_rank_;
  std::map<ConnectionId, std::uint32_t> by_connection_;
};

}  // namespace trireme::ps
