// SPDX-License-Identifier: Apache-2.0
#include "ps/shard_layout.hpp"
#include "ps/shard_state.hpp"
#include "ps/wire.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <utility>

// All that a primary holds of a server's keys, to whoever is to be its replica.
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

/// What of a key waits to be whole: more is no training loop.
constexpr std::size_t most_parts = 1u << 20;

/// A key's further results and pushes, behind those that came.
void join(Transfer& all, Payload& payload, const Transfer& more, const Payload& its) {
  if (more.key != all.key || !more.state.empty() || !more.workers.empty() || more.last)
    fail_corrupt(more.key, "goes on with something else");
  if (!more.results.empty() && !all.pushes.empty()) fail_corrupt(more.key, "has sums behind pushes");
  if (all.bytes.size() + more.bytes.size() > most_parts) fail_corrupt(more.key, "has too many parts");
  all.results.insert(all.results.end(), more.results.begin(), more.results.end());
  all.pushes.insert(all.pushes.end(), more.pushes.begin(), more.pushes.end());
  all.pushed_by.insert(all.pushed_by.end(), more.pushed_by.begin(), more.pushed_by.end());
  all.bytes.insert(all.bytes.end(), more.bytes.begin(), more.bytes.end());
  payload.insert(payload.end(), its.begin(), its.end());
}

}  // namespace

Transfer Shard::State::transfer_head(const Replication& group) const {
  return {.server = group.server(),
          .link = group.stream().link,
          .primary = options_.server,
          .incarnation = options_.incarnation,
          .view = group.stream().view,
          .order = group.order()};
}

void Shard::State::transfer_all(Replication& group, ConnectionId to, Out& out) {
  for (auto& [number, key] : keys_) {
    if (key->group == &group) transfer(*key, to, out);
  }
  Transfer last = transfer_head(group);
  last.last = true;
  out.push_back({to, std::move(last)});
}

void Shard::State::transfer(KeyState& key, ConnectionId to, Out& out) {
  Transfer part = transfer_head(*key.group);
  part.has_key = true;
  part.key = key.key;
  Payload payload;
  std::size_t control = 0;
  const std::uint64_t most_payload = most_payload_bytes(*options_.plan);
  const auto send = [&](bool more) {
    part.more = more;
    out.push_back({to, std::move(part), std::make_shared<Payload>(std::move(payload))});
    part = transfer_head(*key.group);
    part.has_key = true;
    part.key = key.key;
    payload = Payload();
    control = 0;
  };
  const auto add = [&](std::vector<std::vector<std::byte>> Transfer::*list, std::vector<std::byte> message,
                       std::span<const std::byte> elements, std::optional<WorkerId> by) {
    if (control + message.size() > most_control_bytes || payload.size() + elements.size() > most_payload) send(true);
    control += message.size();
    if (by) part.pushed_by.push_back(*by);
    (part.*list).push_back(std::move(message));
    payload.insert(payload.end(), elements.begin(), elements.end());
    part.bytes.push_back(elements.size());
  };
  part.initialised = key.initialised;
  part.clock = key.clock;
  part.summed = key.summed;
  part.marked = key.marked;
  part.version = key.version;
  part.steps = key.unit->unit->steps();
  if (key.initialised) payload = key.unit->unit->saved(key.info->range, part.state, part.bytes);
  for (const auto& [rank, record] : key.workers) {
    part.workers.push_back(record.worker);
    part.clocks.push_back(record.clock);
    part.sequences.push_back(record.sequence);
  }
  for (const Result& each : key.results) {
    const bool is_to_come = key.awaits_update() && &each == &key.results.back() && each.reduced.total_weight != 0.0;
    const std::span<const std::byte> elements = is_to_come     ? key.unit->unit->gradient(key.info->range)
                                                : each.payload ? std::span<const std::byte>(*each.payload)
                                                               : std::span<const std::byte>{};
    add(&Transfer::results, encode(each.reduced), elements, std::nullopt);
  }
  for (const auto& [step, sum] : key.sums) {
    for (const auto& each : sum.contributions) {
      if (!each) continue;
      add(&Transfer::pushes, encode(each->push),
          each->payload ? std::span<const std::byte>(*each->payload) : std::span<const std::byte>{}, each->worker);
    }
  }
  if (key.marked) add(&Transfer::pushes, encode(key.unit->update), {}, WorkerId{0});
  send(false);
}

void Shard::State::on(const From& from, Transfer& transfer) {
  refuse_workers(from, "Transfer");
  Replication& group = group_of(transfer.server);
  check_server(transfer.primary);
  const bool is_new = Replication::Stream{transfer.view, transfer.link} != group.stream();
  if (transfer.primary == options_.server || !group.receive({transfer.view, transfer.link}))
    fail(ErrorCode::closed, "keys of server " + std::to_string(transfer.server) + " are in view " +
                                std::to_string(group.view().number) + " here already");
  group.learn({.server = transfer.server,
               .number = transfer.view,
               .primary = {.server = transfer.primary, .incarnation = transfer.incarnation}});
  sources_[transfer.server] = from.connection;
  if (is_new) {
    arriving_.erase(transfer.server);
    for (auto& [number, key] : keys_) {
      if (key->group == &group) key->unit->gathered.clear();
    }
  }
  if (transfer.has_key) {
    KeyState& key = key_of(transfer.key);
    if (key.info->server != transfer.server) fail_corrupt(transfer.key, "is said to be of another server");
    const auto before = arriving_.find(transfer.server);
    if (before != arriving_.end()) {
      join(before->second.transfer, before->second.payload, transfer, *from.payload);
      if (transfer.more) return;
      const Arriving all = std::move(before->second);
      arriving_.erase(before);
      take(key, all.transfer, all.payload);
    } else if (transfer.more) {
      arriving_[transfer.server] = {std::move(transfer), std::move(*from.payload)};
      return;
    } else {
      take(key, transfer, *from.payload);
    }
    key.last_order = transfer.order;
  }
  if (!transfer.last) return;
  if (arriving_.contains(transfer.server)) fail_corrupt(transfer.key, "ends in the midst of a key");
  group.received(transfer.order);
  from.out->push_back({from.connection, ReplicaAcknowledged{.server = transfer.server,
                                                            .view = transfer.view,
                                                            .link = transfer.link,
                                                            .order = transfer.order,
                                                            .by = options_.server,
                                                            .incarnation = options_.incarnation}});
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
