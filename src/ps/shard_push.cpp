// SPDX-License-Identifier: Apache-2.0
#include "ps/shard_state.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <utility>

// What changes values, as the server does it that is asked: check, decide (the replica is told), apply, acknowledge.
namespace trireme::ps {

WorkerRecord& Shard::State::record_of(KeyState& key, WorkerId worker) {
  WorkerRecord& record = key.workers[rank_of(worker)];
  if (record.worker != worker) record = {.worker = worker};
  return record;
}

Credit::Unit Shard::State::credit_unit(const KeyState& key, std::uint64_t step, std::uint32_t rank) const {
  const std::uint32_t owner = bulk_synchronous() ? Credit::all : rank;
  const Key index = bulk_synchronous() ? key.key : key.unit->keys.front()->key;
  return {.step = step, .priority = key.info->priority, .index = index, .owner = owner};
}

std::uint64_t Shard::State::credit_bytes(const KeyState& key) const {
  if (bulk_synchronous()) return std::uint64_t{options_.workers} * key.shape.bytes();
  return key.unit->unit->range().size() * size_of(key.shape.dtype);
}

bool Shard::State::handled_before(KeyState& key, WorkerId worker, std::uint64_t sequence, const From& from) {
  if (sequence == 0) refuse(key, "sequences are numbered from 1");
  const auto record = key.workers.find(rank_of(worker));
  if (record == key.workers.end() || record->second.worker != worker || sequence > record->second.sequence)
    return false;
  ++statistics_.duplicates;
  acknowledge(key, from.connection, sequence, *from.out);
  return true;
}

void Shard::State::decide(KeyState& key, WorkerId worker, const Control& control,
                          std::shared_ptr<const Payload> payload, std::shared_ptr<Credit::Room> room, Out& out) {
  if (room && key.group->target()) credit_.keep(*room);
  key.last_order = key.group->decide(worker, control, std::move(payload), std::move(room), out);
}

void Shard::State::send(KeyState& key, ConnectionId to, Control control, std::shared_ptr<const Payload> payload,
                        Out& out) {
  key.group->say(key.last_order, {to, std::move(control), std::move(payload)}, out);
}

void Shard::State::acknowledge(KeyState& key, ConnectionId to, std::uint64_t sequence, Out& out) {
  send(key, to, Acknowledged{sequence}, nullptr, out);
}

void Shard::State::on(const From& from, Initialise& initialise) {
  const Worker& worker = worker_of(from);
  KeyState& key = served_key(initialise.key);
  if (handled_before(key, worker.id, initialise.sequence, from)) return;
  check_initialise(key, initialise, from.payload->size());
  if (!key.initialised) {
    decide(key, worker.id, initialise, from.payload, nullptr, *from.out);
    apply_initialise(key, worker.id, initialise, *from.payload, *from.out);
  }
  acknowledge(key, from.connection, initialise.sequence, *from.out);
}

void Shard::State::apply_initialise(KeyState& key, WorkerId worker, const Initialise& initialise,
                                    const Payload& payload, Out& out) {
  record_of(key, worker).sequence = initialise.sequence;
  key.unit->unit->set(key.info->range, payload, initialise.steps, initialise.state, false);
  key.initialised = true;
  answer_pulls(key, out);
}

void Shard::State::on(const From& from, Offer& offer) {
  const Worker& worker = worker_of(from);
  KeyState& key = served_key(offer.key);
  if (offer.bytes > key.shape.bytes())
    refuse(key, "a push of " + std::to_string(offer.bytes) + " bytes is offered; it has at most " +
                    std::to_string(key.shape.bytes()));
  if (offer.step == 0) refuse(key, "steps are numbered from 1");
  const bool late = bulk_synchronous() && offer.step <= key.summed;
  credit_.offer(rank_of(worker.id), key.key, credit_unit(key, offer.step, rank_of(worker.id)), credit_bytes(key), late);
}

void Shard::State::on(const From& from, Push& push) {
  const Worker& worker = worker_of(from);
  const WorkerId id = worker.id;
  // First of all: what came has used its place in the window, whatever becomes of it.
  auto room = credit_.admit(rank_of(id), push.key, push.step, from.payload->size());
  if (!room)
    fail(ErrorCode::invalid_argument,
         "a push of " + std::to_string(from.payload->size()) + " bytes was sent beyond the window, without a grant");
  KeyState& key = served_key(push.key);
  if (handled_before(key, id, push.sequence, from)) {
    if (!bulk_synchronous()) credit_.close(credit_unit(key, push.step, rank_of(id)));
    if (bulk_synchronous()) tell_sum_of(key, worker, push.sequence, push.step, *from.out);
    return;
  }
  check_push(key, push, id, from.payload->size());
  Contribution contribution{.worker = id, .push = std::move(push), .payload = {}, .room = std::move(room)};
  Push& pushed = contribution.push;
  const bool late = bulk_synchronous() && pushed.step <= key.summed;
  if (pushed.used) contribution.payload = std::move(from.payload);
  if (!bulk_synchronous()) {
    ++statistics_.pushes;
    if (key.unit->keys.size() > 1) return gather(key, std::move(contribution), *from.out);
    pushed.learning_rate = learning_rate_of(key, pushed);
  } else {
    const auto sum = key.sums.find(pushed.step);
    const bool taken = sum != key.sums.end() && sum->second.contributions[rank_of(id)];
    if (!late && !can_complete(sum == key.sums.end() ? nullptr : &sum->second, true))
      fail(ErrorCode::peer_lost, "workers have left: the sum of step " + std::to_string(pushed.step) + " of key " +
                                     std::to_string(key.key) + " cannot be complete");
    late ? ++statistics_.dropped : taken ? ++statistics_.duplicates : ++statistics_.pushes;
    if (late || taken) {  // counts for nothing, but is known to have been handled
      pushed.used = pushed.sparse = false;
      pushed.rows.clear();
      contribution.payload.reset();
    }
  }
  const std::uint64_t sequence = pushed.sequence, step = pushed.step;
  decide(key, id, pushed, contribution.payload, contribution.room, *from.out);
  apply_push(key, std::move(contribution), *from.out);
  acknowledge(key, from.connection, sequence, *from.out);
  if (late || (bulk_synchronous() && step < key.summed)) tell_sum_of(key, worker, sequence, step, *from.out);
  if (bulk_synchronous()) tell_if_left_alone(key, worker, step, *from.out);
}

void Shard::State::apply_push(KeyState& key, Contribution contribution, Out& out) {
  if (bulk_synchronous()) return contribute(key, std::move(contribution), out);
  credit_.close(credit_unit(key, contribution.push.step, rank_of(contribution.worker)));
  const std::optional<Contribution> one(std::move(contribution));
  update_from(*key.unit, std::span(&one, 1), out);
}

void Shard::State::on(const From& from, Update& update) {
  const Worker& worker = worker_of(from);
  KeyState& key = served_key(update.key);
  if (handled_before(key, worker.id, update.sequence, from)) return;
  check_update(key, update);
  if (update.step == key.summed && key.awaits_update() && !key.marked) {
    decide(key, worker.id, update, nullptr, nullptr, *from.out);
    apply_update(key, worker.id, update, *from.out);
  }
  acknowledge(key, from.connection, update.sequence, *from.out);
}

void Shard::State::apply_update(KeyState& key, WorkerId worker, const Update& update, Out& out) {
  record_of(key, worker).sequence = update.sequence;
  UnitState& unit = *key.unit;
  if (std::none_of(unit.keys.begin(), unit.keys.end(), [](const KeyState* each) { return each->marked; }))
    unit.update = update;
  key.marked = true;
  if (std::all_of(unit.keys.begin(), unit.keys.end(), [](const KeyState* each) { return each->marked; }))
    update_unit(unit, out);
}

}  // namespace trireme::ps
