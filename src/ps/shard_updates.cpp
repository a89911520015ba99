// SPDX-License-Identifier: Apache-2.0
#include "ps/shard_state.hpp"
#include "trireme/ps/client.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

// Stale-synchronous and asynchronous: each push is an update.
namespace trireme::ps {
namespace {

/// Steps of one worker of which some keys of a tensor have come; more is no training loop.
constexpr std::ptrdiff_t most_gathered = 8;

}  // namespace

double Shard::State::learning_rate_of(const KeyState& key, const Push& push) const {
  if (!options_.staleness_aware) return push.learning_rate;
  const std::uint64_t missed = key.version - std::min(push.pulled_version, key.version);
  return push.learning_rate / (1.0 + static_cast<double>(missed) / static_cast<double>(options_.workers));
}

std::optional<Contributions> Shard::State::collect(KeyState& key, Contribution contribution) {
  UnitState& unit = *key.unit;
  const std::pair id{rank_of(contribution.worker), contribution.push.step};
  const auto same_worker = [&](const auto& each) { return each.first.first == id.first; };
  if (!unit.gathered.contains(id) &&
      std::count_if(unit.gathered.begin(), unit.gathered.end(), same_worker) >= most_gathered)
    refuse(key, std::to_string(most_gathered) + " steps of its tensor are pushed in part already");
  Contributions& parts = unit.gathered[id];
  parts.resize(unit.keys.size());
  if (contribution.room) credit_.keep(*contribution.room);
  parts[key.place] = std::move(contribution);
  if (!std::all_of(parts.begin(), parts.end(), [](const auto& each) { return each.has_value(); })) return {};
  Contributions all = std::move(parts);
  unit.gathered.erase(id);
  return all;
}

/// Of a rule that needs the whole tensor. Until all its keys have come nothing is decided: a part is forgotten with its worker.
void Shard::State::gather(KeyState& key, Contribution contribution, Out& out) {
  const std::uint32_t rank = rank_of(contribution.worker);
  const std::uint64_t step = contribution.push.step;
  std::optional<Contributions> parts = collect(key, std::move(contribution));
  if (!parts) return;
  UnitState& unit = *key.unit;
  credit_.close(credit_unit(key, step, rank));
  std::uint64_t order = 0;
  for (std::size_t i = 0; i < unit.keys.size(); ++i) {
    Contribution& part = *(*parts)[i];
    part.push.learning_rate = learning_rate_of(*unit.keys[i], part.push);
    decide(*unit.keys[i], part.worker, part.push, part.payload, part.room, out);
    order = std::max(order, unit.keys[i]->last_order);
  }
  for (KeyState* each : unit.keys) each->last_order = order;
  update_from(unit, *parts, out);
  const Worker* const worker = workers_.of_rank(rank);
  for (std::size_t i = 0; i < unit.keys.size(); ++i)
    acknowledge(*unit.keys[i], worker->connection, (*parts)[i]->push.sequence, out);
}

void Shard::State::update_from(UnitState& unit, std::span<const std::optional<Contribution>> parts, Out& out) {
  const Push* rule = nullptr;
  const std::byte* gradient = nullptr;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Contribution& part = *parts[i];
    if (part.payload && rule == nullptr) rule = &part.push;
  }
  if (rule != nullptr && parts.size() == 1 && !rule->sparse) {
    gradient = parts.front()->payload->data();
  } else if (rule != nullptr) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Contribution& part = *parts[i];
      const KeyState& key = *unit.keys[i];
      const auto to = unit.unit->gradient(key.info->range);
      if (part.payload && !part.push.sparse) {
        std::copy(part.payload->begin(), part.payload->end(), to.begin());
      } else if (part.payload) {
        lay_out(*part.payload, part.push.rows, key.shape, {.all = true}, false, to.data());
      } else {
        std::fill(to.begin(), to.end(), std::byte{0});
      }
    }
    gradient = unit.unit->gradient(unit.unit->range()).data();
  }
  if (rule != nullptr) {
    unit.unit->apply(gradient, rule->scale, rule->clip_value, rule->learning_rate);
    ++statistics_.updates;
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    KeyState& key = *unit.keys[i];
    WorkerRecord& record = record_of(key, parts[i]->worker);
    record.sequence = parts[i]->push.sequence;
    record.clock = std::max(record.clock, parts[i]->push.step);
    record.pushed = true;
    if (rule == nullptr) continue;
    ++key.version;
    key.published.reset();
  }
  for (std::size_t i = 0; i < parts.size(); ++i) answer_pulls(*unit.keys[i], out);
}

/// A worker that is new begins where the slowest one is: nobody waits for steps it never had to do.
void Shard::State::begin_clocks(Replication* group, std::uint32_t rank) {
  const WorkerId id = workers_.of_rank(rank)->id;
  for (auto& [number, key] : keys_) {
    if (group != nullptr && key->group != group) continue;
    const auto known = key->workers.find(rank);
    if (known != key->workers.end() && known->second.worker == id) continue;
    std::uint64_t slowest = std::numeric_limits<std::uint64_t>::max(), latest = 0;
    for (const auto& [other, record] : key->workers) {
      if (other == rank || record.clock >= no_more_steps) continue;
      latest = std::max(latest, record.clock);
      if (workers_.present(other)) slowest = std::min(slowest, record.clock);
    }
    key->workers[rank] = {.worker = id, .clock = std::min(slowest, latest)};
  }
}

void Shard::State::forget_gathered(std::uint32_t rank) {
  for (auto& unit : units_) std::erase_if(unit->gathered, [&](const auto& each) { return each.first.first == rank; });
}

}  // namespace trireme::ps
