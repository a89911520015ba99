// SPDX-License-Identifier: Apache-2.0
#include "ps/shard_state.hpp"
#include "trireme/base/error.hpp"
#include "trireme/ps/client.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

// What gives values out, once the consistency allows.
namespace trireme::ps {
namespace {

/// Of one worker for one key, that are not answered yet; more is no training loop.
constexpr std::ptrdiff_t most_pulls = 64;

}  // namespace

void Shard::State::on(const From& from, Pull& pull) {
  const Worker& worker = worker_of(from);
  const std::uint32_t rank = rank_of(worker.id);
  KeyState& key = served_key(pull.key);
  if (!from.payload->empty()) refuse(key, "a pull has bytes");
  if (pull.sparse) {
    check_rows(key, pull.rows);
  } else if (!pull.rows.empty()) {
    refuse(key, "a dense pull has rows");
  }
  if (!key.unit->unit->updates() && pull.step > 0)
    refuse(key, "this server only sums: there are no values of step " + std::to_string(pull.step) + " here");
  if (ready(key, pull, rank)) return answer(key, pull, worker, *from.out);
  if (std::count_if(key.pulls.begin(), key.pulls.end(), [&](const auto& each) { return each.rank == rank; }) >=
      most_pulls)
    refuse(key, std::to_string(most_pulls) + " pulls of it wait already");
  ++statistics_.delayed_pulls;
  key.pulls.push_back({rank, std::move(pull)});
}

bool Shard::State::ready(const KeyState& key, const Pull& pull, std::uint32_t rank) const {
  if (!key.initialised) return false;
  if (bulk_synchronous()) {
    const bool untouched = key.summed == 0 && key.sums.empty();  // no step has begun: nothing is missing
    return key.clock >= pull.step || untouched;
  }
  // Own pushes in any case, also the first, which may wait for a grant: a worker reads what it wrote.
  const auto own = key.workers.find(rank);
  if (own != key.workers.end() && own->second.clock < pull.step) return false;
  if (options_.consistency.kind == ConsistencyKind::asynchronous) return true;
  const std::uint64_t needed = pull.step - std::min<std::uint64_t>(pull.step, options_.consistency.staleness);
  return std::all_of(key.workers.begin(), key.workers.end(), [&](const auto& each) {
    return each.first == rank || !workers_.present(each.first) || each.second.clock >= needed;
  });
}

std::uint64_t Shard::State::clock_of(const KeyState& key) const {
  if (bulk_synchronous()) return key.clock;
  std::uint64_t clock = std::numeric_limits<std::uint64_t>::max();
  for (const auto& [rank, record] : key.workers) {
    if (workers_.present(rank) && record.clock < no_more_steps) clock = std::min(clock, record.clock);
  }
  return clock == std::numeric_limits<std::uint64_t>::max() ? 0 : clock;
}

void Shard::State::answer(KeyState& key, const Pull& pull, const Worker& worker, Out& out) {
  const auto values = key.unit->unit->values(key.info->range);
  std::shared_ptr<const Payload> payload;
  if (!pull.sparse) {
    if (!key.published) key.published = std::make_shared<const Payload>(values.begin(), values.end());
    payload = key.published;
  } else {
    const std::size_t row_bytes = key.shape.columns * size_of(key.tensor->dtype);
    auto rows = std::make_shared<Payload>(pull.rows.size() * row_bytes);
    for (std::size_t i = 0; i < pull.rows.size(); ++i)
      std::memcpy(rows->data() + i * row_bytes, values.data() + (pull.rows[i] - key.shape.first_row) * row_bytes,
                  row_bytes);
    payload = std::move(rows);
  }
  ++statistics_.pulls;
  if (!bulk_synchronous()) {
    for (const auto& [rank, record] : key.workers) {
      if (workers_.present(rank) && pull.step > record.clock)
        statistics_.most_staleness = std::max(statistics_.most_staleness, pull.step - record.clock);
    }
  }
  send(key, worker.connection,
       Values{.request = pull.request, .key = key.key, .version = key.version, .clock = clock_of(key)},
       std::move(payload), out);
}

void Shard::State::answer_pulls(KeyState& key, Out& out) {
  if (!key.group->serves() || key.pulls.empty()) return;
  std::vector<DelayedPull> still;
  for (DelayedPull& each : key.pulls) {
    if (ready(key, each.pull, each.rank)) {
      answer(key, each.pull, *workers_.of_rank(each.rank), out);
    } else {
      still.push_back(std::move(each));
    }
  }
  key.pulls = std::move(still);
}

void Shard::State::answer_all_pulls(Out& out) {
  for (auto& [number, key] : keys_) answer_pulls(*key, out);
}

void Shard::State::on(const From& from, ReadState& read) {
  worker_of(from);
  KeyState& key = served_key(read.key);
  if (!key.initialised) refuse(key, "has no values yet");
  ps::State state{.request = read.request, .key = key.key, .version = key.version, .steps = key.unit->unit->steps()};
  auto payload = std::make_shared<Payload>(key.unit->unit->saved(key.info->range, state.state, state.bytes));
  send(key, from.connection, std::move(state), std::move(payload), *from.out);
}

}  // namespace trireme::ps
