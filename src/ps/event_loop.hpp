// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/incoming_frames.hpp"
#include "ps/outgoing_frames.hpp"
#include "ps/reception.hpp"
#include "ps/roster.hpp"
#include "ps/shard.hpp"
#include "rendezvous/doorbell.hpp"
#include "rendezvous/poller.hpp"
#include "rendezvous/sparing_log.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/silence.hpp"
#include "trireme/net/socket.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace trireme::ps {

/// One thread with one Shard and all connections that lead to it.
/// A peer that takes nothing is not read from while `queue_limit` waits for it, and is cut off at `most_queued`.
class EventLoop {
 public:
  struct Options {
    ShardOptions shard{};
    std::uint64_t payload_limit = 0;  ///< of a message
    std::uint64_t queue_limit = 16u << 20;
    std::uint64_t most_queued = 1u << 30;
    /// The connection to the server with this loop's replicas has ended. Called on the loop's thread.
    std::function<void()> replica_lost{};
    /// It serves no more, for an error. Called on the loop's thread, once.
    std::function<void(const Error&)> stopped{};
    /// Has a view decided, and `decided` called with what it is, on any thread. Called on the loop's thread.
    std::function<void(const View&, std::function<void(const View&)> decided)> propose{};
    /// Bulk-synchronous: so long a worker may be without a connection before the others learn that it is lost. More than a takeover
    /// and a dial take.
    std::chrono::milliseconds worker_patience{2000};
    /// For the server with the replicas, at the start.
    std::chrono::milliseconds partner_patience{5000};
    Log log{};
  };
  struct Statistics {
    Shard::Statistics shard{};
    std::uint64_t connections = 0, waiting_bytes = 0, most_waiting_bytes = 0, refused = 0;
    std::uint64_t bytes_in = 0, bytes_out = 0, queued_bytes = 0, most_queued_bytes = 0;
    std::uint32_t served_groups = 0, replicated_groups = 0;
  };

  EventLoop(Options options, Roster& roster);
  /// Closes all connections, and joins the thread.
  ~EventLoop();

  /// A connection from a worker (with its Join) or from another server; closed at once when the loop has stopped. Threads: any.
  void add(Reception::Guest guest);
  /// Serves no more, and tells its workers why. Threads: any.
  void stop(Error why);
  /// Whether it has, or an error of its own has ended it, and its workers have been told. Threads: any.
  bool has_stopped() const { return has_stopped_; }
  /// The connection, from here, to the server that holds the replicas. Threads: any.
  void add_replica(net::Connection connection, std::string name);
  /// Threads: any.
  Statistics statistics() const;

 private:
  struct Connection;
  struct Arrival {
    Reception::Guest guest;
    bool leads_to_replica = false;
  };
  using Connections = std::unordered_map<ConnectionId, std::unique_ptr<Connection>>;

  void run() noexcept;
  std::optional<Error> serve_all() noexcept;
  void tell_owner(const Error& why) noexcept;
  void take_leave(const Error& why) noexcept;
  bool hears_nothing_more(Connection& connection);
  void turn();
  void propose_all();
  void decided(const View& view);
  void seat(Arrival arrival);
  void serve(Connection& connection, const rendezvous::Poller::Event& event);
  void receive(Connection& connection);
  void handle(Connection& connection, Message message);
  std::uint64_t queue_all();
  void dispatch();
  void flush(Connection& connection);
  void finish_later(Connection& connection);
  void end(Connection& connection, const std::string& why);
  void look_for_silence();
  void close_ended();
  void give_up_waiting();
  void publish();
  void drop_line(const std::string& from, const std::string& why);

  const Options options_;
  Roster& roster_;
  rendezvous::Doorbell bell_;
  rendezvous::Poller poller_;

  // The thread's alone.
  rendezvous::SparingLog dropped_;
  Shard shard_;
  Connections connections_;
  std::vector<Outgoing> out_;
  std::vector<ConnectionId> touched_;  ///< something was queued for them in this turn
  std::vector<ConnectionId> ended_;
  std::vector<ConnectionId> unfinished_;
  /// Connections of workers that may come back, and until when; the shard does not know yet that they have ended.
  std::deque<std::pair<Deadline::Clock::time_point, ConnectionId>> absent_;
  ConnectionId next_id_ = 1;
  ConnectionId replica_ = 0;  ///< the connection to it; 0: none
  Deadline::Clock::time_point serve_alone_at_;
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0, queued_ = 0, most_queued_ = 0, gathered_ = 0, refused_ = 0;
  Deadline::Clock::time_point looked_{};

  std::atomic<bool> stopping_{false}, has_stopped_{false};
  mutable std::mutex mutex_;  ///< guards what follows
  std::optional<Error> stop_asked_;
  bool takes_nobody_ = false;
  std::vector<Arrival> arrivals_;
  std::vector<View> decided_;
  Statistics statistics_;
  std::thread thread_;
};

}  // namespace trireme::ps
