// SPDX-License-Identifier: Apache-2.0
#include "kernels/float_environment.hpp"
#include "ps/shard_state.hpp"
#include "ps/wire.hpp"
#include "trireme/base/error.hpp"

#include <utility>

// What a replica does with its primary's decisions, and what follows when it is decided who serves.
namespace trireme::ps {

void Shard::State::refuse_workers(const From& from, const char* message) {
  if (workers_.of(from.connection) != nullptr)
    fail(ErrorCode::invalid_argument, std::string("a worker says what only servers say: ") + message);
}

void Shard::State::on(const From& from, Replicate& replicate) {
  refuse_workers(from, "Replicate");
  Replication& group = group_of(replicate.server);
  if (!group.follows({replicate.view, replicate.link}))
    fail(ErrorCode::closed, "decisions about keys of server " + std::to_string(replicate.server) + " in view " +
                                std::to_string(replicate.view) + " are not followed by server " +
                                std::to_string(options_.server) + " (view " + std::to_string(group.view().number) +
                                ")");
  if (replicate.order > group.order()) {
    if (replicate.order != group.order() + 1)
      fail(ErrorCode::corrupt, "decision " + std::to_string(replicate.order) + " about keys of server " +
                                   std::to_string(replicate.server) + " came behind decision " +
                                   std::to_string(group.order()));
    Control inner = decode(replicate.inner, from.payload->size());
    follow(from, replicate, inner);
  }
  sources_[replicate.server] = from.connection;
  from.out->push_back({from.connection, ReplicaAcknowledged{.server = replicate.server,
                                                            .view = replicate.view,
                                                            .link = replicate.link,
                                                            .order = replicate.order,
                                                            .by = options_.server,
                                                            .incarnation = options_.incarnation}});
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
    key.group->follow(replicate.order);
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
  if (group.target() != from.connection || Replication::Stream{acknowledged.view, acknowledged.link} != group.stream())
    return;  // of a former one
  check_server(acknowledged.by);
  if (acknowledged.order > group.order())
    fail(ErrorCode::corrupt,
         "decision " + std::to_string(acknowledged.order) + " was acknowledged, of " + std::to_string(group.order()));
  group.acknowledged(acknowledged.order, {.server = acknowledged.by, .incarnation = acknowledged.incarnation},
                     *from.out);
}

void Shard::State::on(const From& from, Membership& membership) {
  refuse_workers(from, "Membership");
  check_server(membership.view.primary.server);
  if (membership.view.replica) check_server(membership.view.replica->server);
  group_of(membership.view.server).learn(membership.view);
}

/// From a replica that does not follow: it may serve itself, or be none.
void Shard::State::on(const From& from, Failed& failed) {
  for (auto& [server, group] : groups_) {
    if (group.target() == from.connection && failed.server.value_or(server) == server) group.target_lost(*from.out);
  }
}

Failed Shard::State::elsewhere(const Replication& group, std::optional<std::uint32_t> lost, std::uint64_t number,
                               std::string message) const {
  return {.sequence = number,
          .code = ErrorCode::closed,
          .message = std::move(message),
          .server = group.server(),
          .view = group.view().number,
          .ask = group.other(lost)};
}

void Shard::State::on(const From& from, TakeOver& take_over) {
  Replication& group = group_of(take_over.server);
  if (group.serves()) {
    if (const Worker* const worker = workers_.of(from.connection)) tell_last_results(group, *worker, *from.out);
    return;
  }
  if (!group.ask_to_serve())
    fail(ErrorCode::closed, "server " + std::to_string(options_.server) + " has nothing of server " +
                                std::to_string(take_over.server) + "'s keys");
  askers_[take_over.server].emplace_back(from.connection, take_over.lost);
}

/// A worker goes on here: it may have missed the last sums it has a part in.
void Shard::State::tell_last_results(Replication& group, const Worker& worker, Out& out) {
  if (!bulk_synchronous()) return;
  for (auto& [number, key] : keys_) {
    const auto record = key->workers.find(rank_of(worker.id));
    if (key->group == &group && record != key->workers.end() && record->second.worker == worker.id)
      tell_results(*key, worker, record->second.clock, out);
  }
}

void Shard::State::decided(const View& view, Out& out) {
  const auto found = groups_.find(view.server);
  if (found == groups_.end()) return;
  Replication& group = found->second;
  switch (group.decided(view, out)) {
    case Replication::Change::none: break;
    case Replication::Change::serves: begin_to_serve(group, out); break;
    case Replication::Change::deposed: deposed(group, out); break;
    case Replication::Change::joined: out.push_back({*group.target(), Membership{group.view()}}); break;
    case Replication::Change::refused:
      for (const auto& [asker, lost] : std::exchange(askers_[view.server], {}))
        out.push_back({asker, elsewhere(group, lost, 0,
                                        "keys of server " + std::to_string(view.server) + " are not served by server " +
                                            std::to_string(options_.server))});
      break;
  }
  if (!waiting_.empty()) process_waiting(out);
  settle(out);
}

void Shard::State::process_waiting(Out& out) {
  const kernels::FloatEnvironment environment;
  auto waiting = std::exchange(waiting_, {});
  for (auto& each : waiting) {
    if (must_wait(each.second.control))
      waiting_.push_back(std::move(each));
    else
      process(each.first, std::move(each.second), out);
  }
}

void Shard::State::begin_to_serve(Replication& group, Out& out) {
  arriving_.erase(group.server());
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
  // Who was followed until now may not know yet.
  if (const auto source = sources_.find(group.server()); source != sources_.end()) {
    out.push_back({source->second, elsewhere(group, std::nullopt, 0, "another server serves them")});
    sources_.erase(source);
  }
  askers_.erase(group.server());
  // Not those alone who have asked: others may have lost what the one before said, and have come here since.
  for (const auto& [rank, worker] : workers_.by_rank()) {
    if (worker.present) tell_last_results(group, worker, out);
  }
}

void Shard::State::deposed(Replication& group, Out& out) {
  for (auto& [number, key] : keys_) {
    if (key->group != &group) continue;
    key->pulls.clear();
    for (auto& [step, sum] : key->sums) {
      if (sum.is_open) credit_.step_closed(step);
    }
    // What waits here is the other's by now, and comes again with all it has; room is for what is served.
    key->sums.clear();
    key->unit->gathered.clear();
    credit_.forget_key(key->key);
  }
  for (const auto& [rank, worker] : workers_.by_rank()) {
    if (worker.present)
      out.push_back(
          {worker.connection, elsewhere(group, std::nullopt, 0,
                                        "keys of server " + std::to_string(group.server()) + " are served elsewhere")});
  }
}

bool Shard::State::is_settled() const {
  const Replication& own = groups_.at(options_.server);
  return own.is_founded() && (!own.serves() || own.is_open());
}

void Shard::State::serve_alone(Out& out) {
  groups_.at(options_.server).open_alone();
  settle(out);
}

std::pair<std::uint32_t, std::uint32_t> Shard::State::served_groups() const {
  std::uint32_t served = 0, replicated = 0;
  for (const auto& [server, group] : groups_) {
    served += group.serves();
    replicated += group.serves() && group.has_replica();
  }
  return {served, replicated};
}

}  // namespace trireme::ps
