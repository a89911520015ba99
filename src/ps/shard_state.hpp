// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/credit.hpp"
#include "ps/joined_workers.hpp"
#include "ps/key_state.hpp"
#include "ps/replication.hpp"
#include "ps/shard.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trireme::ps {

/// What Shard hides. Handlers check first and throw Exception for what does not fit, then change; so nothing has changed when one
/// throws. What is applied on the server and on its replica (apply_…) is one code.
class Shard::State {
 public:
  explicit State(ShardOptions options);

  void handle(ConnectionId from, Message&& message, std::vector<Outgoing>& out);
  void connection_lost(ConnectionId from, std::vector<Outgoing>& out);
  void set_replica(ConnectionId connection, std::vector<Outgoing>& out);
  void replica_lost(std::vector<Outgoing>& out);
  std::vector<View> take_proposals() { return std::exchange(proposals_, {}); }
  void decided(const View& view, std::vector<Outgoing>& out);
  bool is_settled() const;
  void serve_alone(std::vector<Outgoing>& out);
  std::pair<std::uint32_t, std::uint32_t> served_groups() const;
  const Credit& credit() const { return credit_; }
  const Statistics& statistics() const { return statistics_; }

 private:
  using Out = std::vector<Outgoing>;
  using Worker = JoinedWorkers::Worker;
  struct From {
    ConnectionId connection = 0;
    mutable std::shared_ptr<Payload> payload;  ///< whoever keeps it takes it
    Out* out = nullptr;
  };

  // shard.cpp: who is who
  void on(const From& from, Join& join);
  void on(const From& from, Leave& leave);
  void end_worker(Worker& worker, bool in_order, Out& out);
  template <class Unexpected>
  void on(const From& from, Unexpected& message);
  void settle(Out& out);
  void process(ConnectionId from, Message&& message, Out& out);
  bool must_wait(const Control& control);
  void process_waiting(Out& out);

  // shard_checks.cpp: is it so?
  Worker& worker_of(const From& from);
  KeyState& key_of(Key key);
  KeyState& served_key(Key key);
  Replication& group_of(std::uint32_t server);
  void check_server(std::uint32_t server) const;
  void check_initialise(const KeyState& key, const Initialise& initialise, std::size_t bytes) const;
  void check_push(const KeyState& key, const Push& push, WorkerId worker, std::size_t bytes) const;
  void check_update(const KeyState& key, const Update& update) const;
  void check_rows(const KeyState& key, std::span<const std::uint32_t> rows) const;
  [[noreturn]] void refuse(const KeyState& key, const std::string& what) const;

  // shard_push.cpp: what changes values
  void on(const From& from, Initialise& initialise);
  void on(const From& from, Push& push);
  void on(const From& from, Update& update);
  void on(const From& from, Offer& offer);
  bool handled_before(KeyState& key, WorkerId worker, std::uint64_t sequence, const From& from);
  void decide(KeyState& key, WorkerId worker, const Control& control, std::shared_ptr<const Payload> payload,
              std::shared_ptr<Credit::Room> room, Out& out);
  void acknowledge(KeyState& key, ConnectionId to, std::uint64_t sequence, Out& out);
  WorkerRecord& record_of(KeyState& key, WorkerId worker);
  Credit::Unit credit_unit(const KeyState& key, std::uint64_t step, std::uint32_t rank) const;
  std::uint64_t credit_bytes(const KeyState& key) const;
  void apply_initialise(KeyState& key, WorkerId worker, const Initialise& initialise, const Payload& payload, Out& out);
  void apply_push(KeyState& key, Contribution contribution, Out& out);
  void apply_update(KeyState& key, WorkerId worker, const Update& update, Out& out);

  // shard_sums.cpp: bulk-synchronous
  void contribute(KeyState& key, Contribution contribution, Out& out);
  void complete_sums(KeyState& key, Out& out);
  void complete_sum(KeyState& key, std::uint64_t step, SumUnderWay& sum, Out& out);
  void drop_results(KeyState& key);
  void tell_results(KeyState& key, const Worker& worker, std::uint64_t from_step, Out& out);
  void tell_sum_of(KeyState& key, const Worker& worker, std::uint64_t sequence, std::uint64_t step, Out& out);
  void update_unit(UnitState& unit, Out& out);
  void open(std::uint64_t step, SumUnderWay& sum);
  bool can_complete(const SumUnderWay* sum, bool lost_may_return) const;
  void tell_if_left_alone(const KeyState& key, const Worker& worker, std::uint64_t step, Out& out);
  std::uint32_t needed() const { return options_.workers - options_.backup_workers; }
  void tell_if_sum_is_torn(const KeyState& key, Out& out);
  void tell_sums_are_lost(std::uint32_t rank, ErrorCode code, const std::string& what, Out& out);

  // shard_updates.cpp: stale-synchronous and asynchronous
  void gather(KeyState& key, Contribution contribution, Out& out);
  std::optional<Contributions> collect(KeyState& key, Contribution contribution);
  void update_from(UnitState& unit, std::span<const std::optional<Contribution>> parts, Out& out);
  double learning_rate_of(const KeyState& key, const Push& push) const;
  void begin_clocks(Replication* group, std::uint32_t rank);
  void forget_gathered(std::uint32_t rank);

  // shard_pull.cpp
  void on(const From& from, Pull& pull);
  void on(const From& from, ReadState& read);
  bool ready(const KeyState& key, const Pull& pull, std::uint32_t rank) const;
  void answer(KeyState& key, const Pull& pull, const Worker& worker, Out& out);
  void answer_pulls(KeyState& key, Out& out);
  void answer_all_pulls(Out& out);
  std::uint64_t clock_of(const KeyState& key) const;

  // shard_awaited.cpp
  void on(const From& from, AskAwaited& ask);
  std::vector<std::uint32_t> awaited_by(const KeyState& key, std::uint32_t asker, std::uint64_t step) const;

  // shard_replica.cpp
  void on(const From& from, Replicate& replicate);
  void on(const From& from, ReplicaAcknowledged& acknowledged);
  void on(const From& from, TakeOver& take_over);
  void on(const From& from, Membership& membership);
  void on(const From& from, Transfer& transfer);
  void on(const From& from, Failed& failed);
  void refuse_workers(const From& from, const char* message);
  void follow(const From& from, Replicate& replicate, Control& inner);
  void begin_to_serve(Replication& group, Out& out);
  void deposed(Replication& group, Out& out);
  void tell_last_results(Replication& group, const Worker& worker, Out& out);
  Failed elsewhere(const Replication& group, std::optional<std::uint32_t> lost, std::uint64_t number,
                   std::string message) const;

  // shard_transfer.cpp
  void transfer_all(Replication& group, ConnectionId to, Out& out);
  void transfer(KeyState& key, ConnectionId to, Out& out);
  Transfer transfer_head(const Replication& group) const;
  void take(KeyState& key, const Transfer& transfer, const Payload& payload);

  bool bulk_synchronous() const { return options_.consistency.kind == ConsistencyKind::bulk_synchronous; }
  void send(KeyState& key, ConnectionId to, Control control, std::shared_ptr<const Payload> payload, Out& out);

  const ShardOptions options_;
  std::optional<layout::ReductionTree> tree_;    ///< bulk-synchronous
  Credit credit_;                                ///< goes last: rooms know it
  std::map<std::uint32_t, Replication> groups_;  ///< by server
  std::vector<std::unique_ptr<UnitState>> units_;
  std::map<Key, std::unique_ptr<KeyState>> keys_;
  JoinedWorkers workers_;
  std::optional<ConnectionId> replica_connection_;
  std::vector<std::pair<ConnectionId, Message>> waiting_;  ///< until this is settled
  std::vector<View> proposals_;
  /// By group: workers that wait for this server to serve it, and whom they have lost.
  std::map<std::uint32_t, std::vector<std::pair<ConnectionId, std::optional<std::uint32_t>>>> askers_;
  std::map<std::uint32_t, ConnectionId> sources_;  ///< by group: where it was followed last
  struct Arriving {
    Transfer transfer;
    Payload payload;
  };
  std::map<std::uint32_t, Arriving> arriving_;  ///< by group: a key of which more is to come
  Statistics statistics_;
};

}  // namespace trireme::ps
