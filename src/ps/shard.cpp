// SPDX-License-Identifier: Apache-2.0
#include "ps/shard.hpp"

#include "kernels/float_environment.hpp"
#include "ps/shard_layout.hpp"
#include "ps/shard_state.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace trireme::ps {
namespace {

/// What a Failed about a message names: its sequence or request.
std::uint64_t number_of(const Control& control) {
  return std::visit(
      [](const auto& each) -> std::uint64_t {
        if constexpr (requires { each.sequence; }) return each.sequence;
        if constexpr (requires { each.request; }) return each.request;
        if constexpr (std::is_same_v<std::decay_t<decltype(each)>, Replicate>) return each.order;
        return 0;
      },
      control);
}

/// The key or the server a message is about, as a server's keys: what a Failed with `closed` names.
std::optional<std::uint32_t> server_of(const Control& control, const KeyPlan& plan) {
  return std::visit(
      [&](const auto& each) -> std::optional<std::uint32_t> {
        using Kind = std::decay_t<decltype(each)>;
        constexpr bool names_server =
            std::is_same_v<Kind, TakeOver> || std::is_same_v<Kind, Replicate> || std::is_same_v<Kind, Transfer>;
        if constexpr (names_server) {
          return each.server;
        } else if constexpr (requires { each.key; }) {
          if (each.key < plan.keys().size()) return plan.keys()[each.key].server;
        }
        return std::nullopt;
      },
      control);
}

/// Those wait until it is decided who serves.
bool may_wait(const Control& control) {
  return std::holds_alternative<Join>(control) || std::holds_alternative<Initialise>(control) ||
         std::holds_alternative<Push>(control) || std::holds_alternative<Update>(control) ||
         std::holds_alternative<Pull>(control) || std::holds_alternative<ReadState>(control) ||
         std::holds_alternative<Offer>(control);
}

std::string both(const std::string& what, const std::string& theirs, const std::string& ours) {
  return what + " differ: the worker has " + theirs + ", the server " + ours;
}

}  // namespace

Shard::State::State(ShardOptions options)
    : options_(std::move(options)), credit_(credit_budget(options_), options_.workers, largest_credit_unit(options_)) {
  if (bulk_synchronous())
    tree_ = layout::ReductionTree::contracted(static_cast<int>(options_.leaves), static_cast<int>(options_.workers));
  const KeyPlan& plan = *options_.plan;
  const Holder self{.server = options_.server, .incarnation = options_.incarnation};
  if (options_.has_views) {
    for (std::uint32_t server = 0; server < plan.options().servers; ++server)
      groups_.emplace(server, Replication::with_views(server, self));
  } else {
    groups_.emplace(options_.server, Replication::without_views(options_.server, true));
  }
  const bool whole = update_scope(options_) != UpdateScope::elements;
  for (Key k = 0; k < plan.keys().size(); ++k) {
    const KeyInfo& info = plan.keys()[k];
    if (info.loop != options_.loop || !groups_.contains(info.server)) continue;
    const TensorInfo& tensor = plan.tensors()[info.tensor];
    auto key = std::make_unique<KeyState>();
    key->key = k;
    key->info = &info;
    key->tensor = &tensor;
    key->shape = key_shape(tensor, info);
    key->group = &groups_.at(info.server);
    const bool joins = whole && !units_.empty() && units_.back()->keys.back()->info->tensor == info.tensor;
    if (!joins) {
      units_.push_back(std::make_unique<UnitState>());
      units_.back()->unit = std::make_unique<UpdateUnit>(
          tensor, whole ? layout::Interval{0, tensor.count()} : info.range,
          options_.make_optimizer ? options_.make_optimizer() : std::unique_ptr<Optimizer>{});
    }
    key->unit = units_.back().get();
    key->place = key->unit->keys.size();
    key->unit->keys.push_back(key.get());
    keys_.emplace(k, std::move(key));
  }
  Out none;
  settle(none);
}

void Shard::State::handle(ConnectionId from, Message&& message, Out& out) {
  const kernels::FloatEnvironment environment;
  if (must_wait(message.control)) {
    waiting_.emplace_back(from, std::move(message));
  } else {
    process(from, std::move(message), out);
  }
  settle(out);
}

/// Until a server knows what was before, and its keys have a replica or are served without; and until it is decided whether it serves
/// keys that it is asked to serve, or serves no more.
bool Shard::State::must_wait(const Control& control) {
  const auto comes_behind = [&](std::uint32_t server, std::uint64_t view) {
    const auto group = groups_.find(server);
    if (group == groups_.end() || !group->second.is_overtaken(view)) return false;
    group->second.find_out();
    return true;
  };
  if (const auto* transfer = std::get_if<Transfer>(&control)) return comes_behind(transfer->server, transfer->view);
  if (const auto* replicate = std::get_if<Replicate>(&control)) return comes_behind(replicate->server, replicate->view);
  if (const auto* take_over = std::get_if<TakeOver>(&control))
    return take_over->server == options_.server && !groups_.at(options_.server).is_founded();
  if (!may_wait(control)) return false;
  if (!is_settled()) return true;
  const auto server = server_of(control, *options_.plan);
  const auto group = server ? groups_.find(*server) : groups_.end();
  return group != groups_.end() && group->second.is_asked();
}

void Shard::State::process(ConnectionId connection, Message&& message, Out& out) {
  const From from{connection, std::make_shared<Payload>(std::move(message.payload)), &out};
  try {
    std::visit([&](auto& control) { on(from, control); }, message.control);
  } catch (const Exception& failure) {
    const Error& error = failure.error();
    if (std::holds_alternative<Join>(message.control)) {
      out.push_back({connection, Refused{error.code, error.message}});
    } else {
      Failed failed{number_of(message.control), error.code, error.message};
      const auto server =
          error.code == ErrorCode::closed ? server_of(message.control, *options_.plan) : std::optional<std::uint32_t>{};
      const auto group = server ? groups_.find(*server) : groups_.end();
      const auto* const take_over = std::get_if<TakeOver>(&message.control);
      if (group != groups_.end())
        failed = elsewhere(group->second, take_over != nullptr ? take_over->lost : std::nullopt, failed.sequence,
                           error.message);
      out.push_back({connection, std::move(failed)});
    }
  }
}

void Shard::State::settle(Out& out) {
  for (auto& [server, group] : groups_) {
    if (replica_connection_ && group.lacks_replica(*replica_connection_)) {
      group.begin(*replica_connection_);
      transfer_all(group, *replica_connection_, out);
    }
    if (auto proposal = group.propose()) proposals_.push_back(*std::move(proposal));
  }
  for (const Credit::Granted& each : credit_.settle()) {
    const Worker* const worker = workers_.of_rank(each.rank);
    if (worker == nullptr || !worker->present) continue;
    out.push_back({worker->connection,
                   Grant{.bytes = each.bytes, .for_offer = each.for_offer, .key = each.key, .step = each.step}});
  }
}

void Shard::State::on(const From& from, Join& join) {
  const auto differ = [](const std::string& what, const auto& theirs, const auto& ours) {
    if (theirs == ours) return;
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(ours)>>) {
      fail(ErrorCode::mismatch, both(what, std::to_string(theirs), std::to_string(ours)));
    } else {
      fail(ErrorCode::mismatch, both(what, "'" + theirs + "'", "'" + ours + "'"));
    }
  };
  if (rank_of(join.worker) != join.rank || join.worker == 0)
    fail(ErrorCode::invalid_argument, "a worker that says it is rank " + std::to_string(join.rank) +
                                          " has the id of rank " + std::to_string(rank_of(join.worker)));
  differ("plans of keys (fingerprints)", join.plan_fingerprint, options_.plan->fingerprint());
  differ("consistencies", join.consistency, options_.consistency.to_string());
  differ("settings", join.settings, options_.settings);
  if (bulk_synchronous()) {
    differ("numbers of workers", join.workers, options_.workers);
    differ("numbers of leaves", join.leaves, options_.leaves);
  }
  const std::uint32_t most = bulk_synchronous() ? options_.workers : most_workers;
  if (join.rank >= most)
    fail(ErrorCode::mismatch,
         "there is no rank " + std::to_string(join.rank) + " among " + std::to_string(most) + " workers");
  if (const Worker* known = workers_.of(from.connection); known != nullptr && known->id != join.worker)
    fail(ErrorCode::invalid_argument, "this connection is that of rank " + std::to_string(rank_of(known->id)) +
                                          " already, not of rank " + std::to_string(join.rank));
  Worker* const before = workers_.of_rank(join.rank);
  const bool is_back = before != nullptr && before->id == join.worker;
  if (is_back && before->attempt > join.attempt)
    fail(ErrorCode::closed, "rank " + std::to_string(join.rank) + " has joined by a later connection");
  if (before != nullptr && before->present) end_worker(*before, true, *from.out);
  workers_.join(join.worker, from.connection, join.attempt);
  const Worker& worker = *workers_.of_rank(join.rank);
  from.out->push_back({from.connection, Welcome{.server_incarnation = options_.incarnation,
                                                .window_bytes = credit_.welcome(join.rank)}});
  if (!bulk_synchronous()) begin_clocks(nullptr, join.rank);
  if (!bulk_synchronous() || !is_back) return;
  // It may have missed the last sums it has a part in.
  for (auto& [key, state] : keys_) {
    const auto record = state->workers.find(join.rank);
    if (state->group->serves() && record != state->workers.end())
      tell_results(*state, worker, record->second.clock, *from.out);
  }
}

void Shard::State::on(const From& from, Leave& leave) {
  Worker& worker = worker_of(from);
  const std::uint32_t rank = rank_of(worker.id);
  end_worker(worker, !leave.lost, *from.out);
  if (!bulk_synchronous() || leave.lost) return;
  for (const auto& [key, state] : keys_) {
    if (!state->group->serves() || state->sums.empty() || can_complete(&state->sums.begin()->second, false)) continue;
    return tell_sums_are_lost(rank, ErrorCode::peer_lost, "has left", *from.out);
  }
}

/// In order, also when it joins anew; else it is lost.
void Shard::State::end_worker(Worker& worker, bool in_order, Out& out) {
  const std::uint32_t rank = rank_of(worker.id);
  workers_.end(worker, in_order);
  credit_.forget(rank);
  for (auto& [key, state] : keys_)
    std::erase_if(state->pulls, [&](const DelayedPull& each) { return each.rank == rank; });
  forget_gathered(rank);
  if (!bulk_synchronous()) {
    answer_all_pulls(out);
  } else if (!in_order) {
    tell_sums_are_lost(rank, ErrorCode::peer_lost, "is lost", out);
  }
}

template <class Unexpected>
void Shard::State::on(const From&, Unexpected&) {
  fail(ErrorCode::corrupt, "a server was told what only servers say");
}

void Shard::State::connection_lost(ConnectionId from, Out& out) {
  std::erase_if(waiting_, [&](const auto& each) { return each.first == from; });
  if (Worker* const worker = workers_.of(from)) end_worker(*worker, false, out);
  for (auto& [server, group] : groups_) {
    if (group.target() == from) group.target_lost(out);
  }
  if (replica_connection_ == from) replica_connection_.reset();
  settle(out);
}

void Shard::State::set_replica(ConnectionId connection, Out& out) {
  replica_connection_ = connection;
  settle(out);
}

void Shard::State::replica_lost(Out& out) {
  if (replica_connection_) connection_lost(*replica_connection_, out);
}

Shard::Shard(ShardOptions options) {
  check_options(options);
  state_ = std::make_unique<State>(std::move(options));
}
Shard::~Shard() = default;

void Shard::handle(ConnectionId from, Message message, std::vector<Outgoing>& out) {
  state_->handle(from, std::move(message), out);
}
void Shard::connection_lost(ConnectionId from, std::vector<Outgoing>& out) { state_->connection_lost(from, out); }
void Shard::set_replica(ConnectionId connection, std::vector<Outgoing>& out) { state_->set_replica(connection, out); }
void Shard::replica_lost(std::vector<Outgoing>& out) { state_->replica_lost(out); }
std::vector<View> Shard::take_proposals() { return state_->take_proposals(); }
void Shard::decided(const View& view, std::vector<Outgoing>& out) { state_->decided(view, out); }
void Shard::serve_alone(std::vector<Outgoing>& out) { state_->serve_alone(out); }
bool Shard::is_settled() const { return state_->is_settled(); }
std::pair<std::uint32_t, std::uint32_t> Shard::served_groups() const { return state_->served_groups(); }
std::uint64_t Shard::waiting_bytes() const { return state_->credit().waiting(); }
std::uint64_t Shard::most_waiting_bytes() const { return state_->credit().most_waiting(); }
const Shard::Statistics& Shard::statistics() const { return state_->statistics(); }

}  // namespace trireme::ps
