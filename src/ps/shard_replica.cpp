// SPDX-License-Identifier: Apache-2.0
#include "ps/shard_state.hpp"
#include "ps/wire.hpp"
#include "trireme/base/error.hpp"

#include <utility>

// What a replica does with its primary's decisions, and how one takes the other's place.
namespace trireme::ps {

void Shard::State::refuse_workers(const From& from, const char* message) {
  if (workers_.of(from.connection) != nullptr)
    fail(ErrorCode::invalid_argument, std::string("a worker says what only servers say: ") + message);
}

void Shard::State::on(const From& from, Replicate& replicate) {
  refuse_workers(from, "Replicate");
  Replication& group = group_of(replicate.server);
  if (group.serves() || replicate.view < group.view())
    fail(ErrorCode::closed, "keys of server " + std::to_string(replicate.server) + " are in view " +
                                std::to_string(group.view()) + ", not in view " + std::to_string(replicate.view));
  if (replicate.order > group.order()) {
    if (replicate.order != group.order() + 1)
      fail(ErrorCode::corrupt, "decision " + std::to_string(replicate.order) + " about keys of server " +
                                   std::to_string(replicate.server) + " came behind decision " +
                                   std::to_string(group.order()));
    Control inner = decode(replicate.inner, from.payload->size());
    follow(from, replicate, inner);
  }
  from.out->push_back(
      {from.connection,
       ReplicaAcknowledged{.server = replicate.server, .view = replicate.view, .order = replicate.order}});
}

void Shard::State::follow(const From& from, Replicate& replicate, Control& inner) {
  const WorkerId worker = replicate.worker;
  const auto key_for = [&](Key number) -> KeyState& {
    KeyState& key = key_of(number);
    if (key.info->server != replicate.server)
      fail(ErrorCode::corrupt,
           "key " + std::to_string(number) + " is none of server " + std::to_string(replicate.server));
    if (rank_of(worker) >= (bulk_synchronous() ? options_.workers : 1u << 16))
      fail(ErrorCode::corrupt, "a decision names rank " + std::to_string(rank_of(worker)));
    return key;
  };
  const auto decided = [&](KeyState& key) {
    key.group->follow(replicate.view, replicate.order);
    key.last_order = replicate.order;
  };
  if (auto* initialise = std::get_if<Initialise>(&inner)) {
    KeyState& key = key_for(initialise->key);
    check_initialise(key, *initialise, from.payload->size());
    decided(key);
    if (!key.initialised) apply_initialise(key, worker, *initialise, *from.payload, *from.out);
  } else if (auto* update = std::get_if<Update>(&inner)) {
    KeyState& key = key_for(update->key);
    check_update(key, *update);
    decided(key);
    if (key.awaits_update() && !key.marked) apply_update(key, worker, *update, *from.out);
  } else if (auto* push = std::get_if<Push>(&inner)) {
    KeyState& key = key_for(push->key);
    check_push(key, *push, worker, from.payload->size());
    Contribution part{.worker = worker,
                      .push = std::move(*push),
                      .payload = {},
                      .room = credit_.admit_replicated(from.payload->size())};
    if (part.push.used) part.payload = std::move(from.payload);
    if (bulk_synchronous() || key.unit->keys.size() == 1) {
      decided(key);
      return apply_push(key, std::move(part), *from.out);
    }
    std::optional<Contributions> parts = collect(key, std::move(part));
    decided(key);
    if (parts) update_from(*key.unit, *parts, *from.out);
  } else {
    fail(ErrorCode::corrupt, "a decision is none of initial values, push and update");
  }
}

void Shard::State::on(const From& from, ReplicaAcknowledged& acknowledged) {
  refuse_workers(from, "ReplicaAcknowledged");
  Replication& group = group_of(acknowledged.server);
  if (group.replica() != from.connection || acknowledged.view != group.view()) return;  // of a former replica or view
  if (acknowledged.order > group.order())
    fail(ErrorCode::corrupt,
         "decision " + std::to_string(acknowledged.order) + " was acknowledged, of " + std::to_string(group.order()));
  group.acknowledged(acknowledged.order, *from.out);
}

/// From a replica that no longer follows: in another view it serves itself; else it is none.
void Shard::State::on(const From& from, Failed& failed) {
  for (auto& [server, group] : groups_) {
    if (group.replica() != from.connection) continue;
    if (failed.code != ErrorCode::closed) {
      group.end(*from.out);
      continue;
    }
    group.depose();
    for (auto& [number, key] : keys_) {
      if (key->group != &group) continue;
      key->pulls.clear();
      for (auto& [step, sum] : key->sums) {
        if (std::exchange(sum.is_open, false)) credit_.step_closed(step);
      }
    }
    for (const auto& [rank, worker] : workers_.by_rank()) {
      if (worker.present)
        from.out->push_back({worker.connection, Failed{0, ErrorCode::closed,
                                                       "keys of server " + std::to_string(server) +
                                                           " are served elsewhere: " + failed.message,
                                                       server, group.view()}});
    }
  }
}

void Shard::State::on(const From& from, TakeOver& take_over) {
  Replication& group = group_of(take_over.server);
  if (!group.serves() && take_over.view <= group.view())
    fail(ErrorCode::closed, "keys of server " + std::to_string(take_over.server) + " are in view " +
                                std::to_string(group.view()) + " already, and served elsewhere");
  if (!group.serves()) {
    if (group.receives())
      fail(ErrorCode::peer_lost, "server " + std::to_string(options_.server) + " does not have all of server " +
                                     std::to_string(take_over.server) + "'s keys yet");
    group.take_over(take_over.view);
    for (auto& [number, key] : keys_) {
      if (key->group != &group) continue;
      key->unit->gathered.clear();
      for (auto& [step, sum] : key->sums) open(step, sum);
    }
    if (!bulk_synchronous()) {
      for (const auto& [rank, worker] : workers_.by_rank()) {
        if (worker.present) begin_clocks(&group, rank);
      }
    }
    if (take_over.server == options_.server && replica_connection_)
      begin_replica(group, *replica_connection_, *from.out);
  }
  const Worker* const worker = workers_.of(from.connection);
  if (worker == nullptr || !bulk_synchronous()) return;
  for (auto& [number, key] : keys_) {
    const auto record = key->workers.find(rank_of(worker->id));
    if (key->group == &group && record != key->workers.end() && record->second.worker == worker->id)
      tell_results(*key, *worker, record->second.clock, *from.out);
  }
}

void Shard::State::begin_replica(Replication& group, ConnectionId connection, Out& out) {
  transfer_all(group, connection, out);
  group.begin(connection);
}

}  // namespace trireme::ps
