// SPDX-License-Identifier: Apache-2.0
#include "ps/shard_state.hpp"
#include "ps/wire.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <utility>

// All that a server holds of another's keys, or of its own, from one to the other.
namespace trireme::ps {
namespace {

[[noreturn]] void fail_corrupt(Key key, const std::string& what) {
  fail(ErrorCode::corrupt, "the transfer of key " + std::to_string(key) + " " + what);
}

/// The parts of a payload, one after the other.
class Parts {
 public:
  Parts(const Transfer& transfer, const Payload& payload) : transfer_(transfer), payload_(payload) {
    std::uint64_t left = payload.size();
    for (const std::uint64_t bytes : transfer.bytes) {
      if (bytes > left) fail_corrupt(transfer.key, "describes more bytes than it carries");
      left -= bytes;
    }
    if (left != 0) fail_corrupt(transfer.key, "carries more bytes than it describes");
  }
  std::size_t left() const { return transfer_.bytes.size() - next_; }
  std::span<const std::byte> next() {
    if (left() == 0) fail_corrupt(transfer_.key, "lacks a part");
    const auto part = std::span(payload_).subspan(at_, static_cast<std::size_t>(transfer_.bytes[next_++]));
    at_ += part.size();
    return part;
  }

 private:
  const Transfer& transfer_;
  const Payload& payload_;
  std::size_t next_ = 0, at_ = 0;
};

std::shared_ptr<Payload> copy_of(std::span<const std::byte> part) {
  return std::make_shared<Payload>(part.begin(), part.end());
}

}  // namespace

void Shard::State::on(const From& from, Fetch& fetch) {
  refuse_workers(from, "Fetch");
  Replication& group = group_of(fetch.server);
  // What is still on its way from the process that was there before is of an older view.
  if (!group.serves() && group.order() != 0) group.follow(group.view() + 1, group.order());
  for (auto& [number, key] : keys_) {
    if (key->group == &group) key->unit->gathered.clear();
  }
  transfer_all(group, from.connection, *from.out);
  if (group.serves()) group.begin(from.connection);
}

void Shard::State::transfer_all(Replication& group, ConnectionId to, Out& out) {
  for (auto& [number, key] : keys_) {
    if (key->group == &group) out.push_back(transfer_of(*key, to));
  }
  out.push_back({to, Transfer{.server = group.server(),
                              .served = group.serves(),
                              .last = true,
                              .view = group.view(),
                              .order = group.order()}});
}

Outgoing Shard::State::transfer_of(KeyState& key, ConnectionId to) {
  Transfer transfer{.server = key.info->server,
                    .served = key.group->serves(),
                    .has_key = true,
                    .initialised = key.initialised,
                    .clock = key.clock,
                    .summed = key.summed,
                    .marked = key.marked,
                    .key = key.key,
                    .view = key.group->view(),
                    .order = key.group->order(),
                    .version = key.version,
                    .steps = key.unit->unit->steps()};
  Payload payload;
  const auto add = [&](std::span<const std::byte> part) {
    payload.insert(payload.end(), part.begin(), part.end());
    transfer.bytes.push_back(part.size());
  };
  if (key.initialised) payload = key.unit->unit->saved(key.info->range, transfer.state, transfer.bytes);
  for (const Result& each : key.results) {
    transfer.results.push_back(encode(each.reduced));
    const bool is_to_come = key.awaits_update() && &each == &key.results.back() && each.reduced.total_weight != 0.0;
    if (is_to_come) {
      add(key.unit->unit->gradient(key.info->range));
    } else {
      add(each.payload ? std::span<const std::byte>(*each.payload) : std::span<const std::byte>{});
    }
  }
  for (const auto& [step, sum] : key.sums) {
    for (const auto& each : sum.contributions) {
      if (!each) continue;
      transfer.pushes.push_back(encode(each->push));
      transfer.pushed_by.push_back(each->worker);
      add(each->payload ? std::span<const std::byte>(*each->payload) : std::span<const std::byte>{});
    }
  }
  if (key.marked) {
    transfer.pushes.push_back(encode(key.unit->update));
    transfer.pushed_by.push_back(0);
    add({});
  }
  for (const auto& [rank, record] : key.workers) {
    transfer.workers.push_back(record.worker);
    transfer.clocks.push_back(record.clock);
    transfer.sequences.push_back(record.sequence);
  }
  return {to, std::move(transfer), std::make_shared<Payload>(std::move(payload))};
}

void Shard::State::on(const From& from, Transfer& transfer) {
  refuse_workers(from, "Transfer");
  Replication& group = group_of(transfer.server);
  const bool restores = restoring_ && transfer.server == options_.server;
  if ((group.serves() && !restores) || transfer.view < group.view())
    fail(ErrorCode::closed, "keys of server " + std::to_string(transfer.server) + " are in view " +
                                std::to_string(group.view()) + " here already");
  // Of decisions this one has had already there is nothing to learn.
  const bool is_old = !restores && transfer.view == group.view() && transfer.order < group.order();
  if (transfer.has_key && !is_old) {
    KeyState& key = key_of(transfer.key);
    if (key.info->server != transfer.server) fail_corrupt(transfer.key, "is said to be of another server");
    group.set_receives(true);
    take(key, transfer, *from.payload);
    key.last_order = transfer.order;
  }
  if (!transfer.last) return;
  if (!is_old) {
    group.set_receives(false);
    group.follow(transfer.view, transfer.order);
  }
  if (transfer.served)
    from.out->push_back(
        {from.connection,
         ReplicaAcknowledged{.server = transfer.server, .view = transfer.view, .order = transfer.order}});
  if (!restores) return;
  group.set_serves(!transfer.served);
  if (group.serves() && replica_connection_) {
    group.begin(*replica_connection_);
    group.in_step();
  }
  restored(*from.out);
}

void Shard::State::restored(Out& out) {
  restoring_ = false;
  if (Replication& own = groups_.at(options_.server); own.serves()) {
    for (auto& [number, key] : keys_) {
      if (key->group != &own) continue;
      for (auto& [step, sum] : key->sums) open(step, sum);
    }
  }
  auto waiting = std::exchange(waiting_, {});
  for (auto& [connection, message] : waiting) process(connection, std::move(message), out);
}

void Shard::State::take(KeyState& key, const Transfer& transfer, const Payload& payload) {
  Parts parts(transfer, payload);
  UpdateUnit& unit = *key.unit->unit;
  std::size_t bytes = 0;
  if (transfer.initialised) {
    bytes = parts.next().size();
    for (std::size_t i = 0; i < transfer.state.size(); ++i) bytes += parts.next().size();
    const std::string misfit = unit.misfit(key.info->range, transfer.state, bytes);
    if (!misfit.empty()) fail_corrupt(key.key, "does not fit: " + misfit);
  }
  if (transfer.workers.size() != transfer.clocks.size() || transfer.workers.size() != transfer.sequences.size() ||
      transfer.pushes.size() != transfer.pushed_by.size() ||
      parts.left() != transfer.results.size() + transfer.pushes.size())
    fail_corrupt(key.key, "has lists of different lengths");
  std::deque<Result> results;
  std::span<const std::byte> to_come{};
  for (const auto& each : transfer.results) {
    const auto part = parts.next();
    Control control = decode(each, part.size());
    auto* const reduced = std::get_if<Reduced>(&control);
    if (reduced == nullptr || reduced->key != key.key) fail_corrupt(key.key, "has a sum that is none");
    if (unit.updates()) to_come = part;
    results.push_back({std::move(*reduced), unit.updates() || part.empty() ? nullptr : copy_of(part)});
  }
  const bool awaits = unit.updates() && transfer.summed > transfer.clock;
  if (awaits && (results.empty() || results.back().reduced.step != transfer.summed ||
                 (results.back().reduced.total_weight != 0.0 && to_come.size() != key.shape.bytes())))
    fail_corrupt(key.key, "lacks the sum that its update waits for");
  std::map<std::uint64_t, SumUnderWay> sums;
  std::optional<Update> update;
  for (std::size_t i = 0; i < transfer.pushes.size(); ++i) {
    const auto part = parts.next();
    Control control = decode(transfer.pushes[i], part.size());
    if (auto* const marked = std::get_if<Update>(&control)) {
      update = *marked;
      continue;
    }
    auto* const push = std::get_if<Push>(&control);
    const std::uint32_t rank = rank_of(transfer.pushed_by[i]);
    if (push == nullptr || push->key != key.key || !bulk_synchronous() || rank >= options_.workers ||
        push->step <= transfer.summed)
      fail_corrupt(key.key, "has a push that is none");
    const std::size_t wanted = !push->used    ? 0
                               : push->sparse ? push->rows.size() * key.shape.row_bytes()
                                              : key.shape.bytes();
    if (push->sparse) check_rows(key, push->rows);
    if (part.size() != wanted) fail_corrupt(key.key, "has a push of another length");
    SumUnderWay& sum = sums[push->step];
    sum.contributions.resize(options_.workers);
    if (sum.contributions[rank]) fail_corrupt(key.key, "has two pushes of one worker");
    ++sum.count;
    sum.contributions[rank] = Contribution{.worker = transfer.pushed_by[i],
                                           .push = std::move(*push),
                                           .payload = push->used ? copy_of(part) : nullptr,
                                           .room = credit_.admit_replicated(part.size())};
    credit_.keep(*sum.contributions[rank]->room);
  }
  if (transfer.marked != update.has_value()) fail_corrupt(key.key, "lacks its update");

  // Everything fits.
  if (transfer.initialised) unit.set(key.info->range, payload, transfer.steps, transfer.state, key.place == 0);
  key.initialised = transfer.initialised;
  key.version = transfer.version;
  key.clock = transfer.clock;
  key.summed = transfer.summed;
  key.marked = transfer.marked;
  if (update) key.unit->update = *update;
  key.published.reset();
  key.results = std::move(results);
  key.sums = std::move(sums);
  key.workers.clear();
  for (std::size_t i = 0; i < transfer.workers.size(); ++i) {
    key.workers[rank_of(transfer.workers[i])] = {.worker = transfer.workers[i],
                                                 .sequence = transfer.sequences[i],
                                                 .clock = transfer.clocks[i],
                                                 .pushed = transfer.sequences[i] != 0 && transfer.clocks[i] != 0};
  }
  if (awaits && !to_come.empty()) std::copy(to_come.begin(), to_come.end(), unit.gradient(key.info->range).begin());
}

}  // namespace trireme::ps
