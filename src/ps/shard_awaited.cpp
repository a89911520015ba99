// SPDX-License-Identifier: Apache-2.0
#include "ps/shard_state.hpp"

#include <algorithm>
#include <utility>

// Whom a worker waits for when it waits for this server: what it says of a wait that was too long.
namespace trireme::ps {
namespace {

bool lacks_values(const KeyState& key) { return !key.initialised && key.unit->unit->updates(); }

/// More names say no more.
constexpr std::size_t most_named = 1024;

}  // namespace

void Shard::State::on(const From& from, AskAwaited& ask) {
  const std::uint32_t asker = rank_of(worker_of(from).id);
  const KeyState& key = served_key(ask.key);
  if (!from.payload->empty()) refuse(key, "a question has bytes");
  // Not by send(): what waits for the replica is what is asked about.
  from.out->push_back({from.connection, Awaited{.request = ask.request,
                                                .key = key.key,
                                                .ranks = awaited_by(key, asker, ask.step),
                                                .replica = key.group->awaited(),
                                                .lacks_values = lacks_values(key)}});
}

std::vector<std::uint32_t> Shard::State::awaited_by(const KeyState& key, std::uint32_t asker,
                                                    std::uint64_t step) const {
  std::vector<std::uint32_t> ranks;
  const auto add = [&](std::uint32_t rank) {
    if (rank != asker && ranks.size() < most_named) ranks.push_back(rank);
  };
  if (lacks_values(key)) return ranks;
  if (bulk_synchronous()) {
    if (key.awaits_update() || step <= key.summed) return ranks;
    const SumUnderWay* const sum = key.sums.empty() ? nullptr : &key.sums.begin()->second;
    for (std::uint32_t rank = 0; rank < options_.workers; ++rank) {
      const auto record = key.workers.find(rank);
      const bool is_in = sum != nullptr ? sum->contributions[rank].has_value()
                                        : record != key.workers.end() && record->second.clock >= step;
      if (!is_in) add(rank);
    }
    return ranks;
  }
  if (options_.consistency.kind == ConsistencyKind::asynchronous) return ranks;
  const std::uint64_t needed = step - std::min<std::uint64_t>(step, options_.consistency.staleness);
  for (const auto& [rank, record] : key.workers) {
    if (workers_.present(rank) && record.clock < needed) add(rank);
  }
  return ranks;
}

}  // namespace trireme::ps
