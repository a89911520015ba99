// SPDX-License-Identifier: Apache-2.0
#include "kernels/norm/norm.hpp"
#include "ps/shard_state.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <limits>
#include <utility>

// Bulk-synchronous: contributions become sums, sums become updates.
namespace trireme::ps {
namespace {

/// Kept at most for workers that come back; more are under way in no training loop, but with backup workers, which come back
/// while the others have gone on: those sums are without their mean.
constexpr std::size_t most_means = 8, most_results = 512;

std::vector<double> block_sums_of(std::span<const std::byte> mean, DType dtype) {
  std::vector<double> sums;
  const std::size_t block = layout::reduction_block * size_of(dtype);
  for (std::size_t at = 0; at < mean.size(); at += block) {
    const std::size_t bytes = std::min(block, mean.size() - at);
    sums.push_back(kernels::block_sum_of_squares(mean.data() + at, dtype, bytes / size_of(dtype)));
  }
  return sums;
}

}  // namespace

void Shard::State::contribute(KeyState& key, Contribution contribution, Out& out) {
  const std::uint64_t step = contribution.push.step;
  const std::uint32_t rank = rank_of(contribution.worker);
  WorkerRecord& record = record_of(key, contribution.worker);
  record.sequence = contribution.push.sequence;
  record.clock = std::max(record.clock, step);
  record.pushed = true;
  drop_results(key);
  if (step <= key.summed) return;
  SumUnderWay& sum = key.sums[step];
  if (sum.contributions.empty()) sum.contributions.resize(options_.workers);
  if (sum.contributions[rank]) return;
  if (key.group->serves()) open(step, sum);
  if (contribution.room) credit_.keep(*contribution.room);
  sum.contributions[rank] = std::move(contribution);
  ++sum.count;
  complete_sums(key, out);
  tell_if_sum_is_torn(key, out);
}

/// Workers push the steps of a key in their order. Who is past a sum that is open here and not in it had that sum from an earlier
/// process of this server, which others had not: so it is never complete, and neither are those behind it.
void Shard::State::tell_if_sum_is_torn(const KeyState& key, Out& out) {
  if (options_.backup_workers != 0 || !key.group->serves() || key.sums.empty()) return;
  const auto& [step, sum] = *key.sums.begin();
  for (const auto& [rank, record] : key.workers) {
    if (!record.pushed || record.clock <= step || sum.contributions[rank]) continue;
    for (const auto& [other, worker] : workers_.by_rank()) {
      if (!worker.present) continue;
      out.push_back({worker.connection,
                     Failed{0, ErrorCode::peer_lost,
                            "server " + std::to_string(options_.server) + " began anew in the midst of a sum: worker " +
                                std::to_string(rank) + " has that of step " + std::to_string(step) + " of tensor '" +
                                key.tensor->name + "' already, and others wait for it; replicas outlive that"}});
    }
    return;
  }
}

void Shard::State::open(std::uint64_t step, SumUnderWay& sum) {
  if (!std::exchange(sum.is_open, true)) credit_.step_opened(step);
}

void Shard::State::complete_sums(KeyState& key, Out& out) {
  while (!key.sums.empty() && !key.awaits_update()) {
    const auto first = key.sums.begin();
    if (first->second.count < needed()) return;
    const std::uint64_t step = first->first;
    SumUnderWay sum = std::move(first->second);
    key.sums.erase(first);
    complete_sum(key, step, sum, out);
    if (sum.is_open) credit_.step_closed(step);
    credit_.close(credit_unit(key, step, 0));
  }
}

void Shard::State::complete_sum(KeyState& key, std::uint64_t step, SumUnderWay& sum, Out& out) {
  Result result{.reduced = {.key = key.key,
                            .step = step,
                            .total_weight = total_weight(sum.contributions, *tree_),
                            .used_by = used_by(sum.contributions)}};
  Reduced& reduced = result.reduced;
  const bool updates = key.unit->unit->updates();
  if (reduced.total_weight != 0.0) {
    const TouchedRows touched =
        key.tensor->row_sparse ? touched_rows(sum.contributions, key.shape) : TouchedRows{.all = true};
    std::shared_ptr<Payload> mean;
    std::byte* to = nullptr;
    if (touched.all && updates) {
      to = key.unit->unit->gradient(key.info->range).data();
    } else {
      // A payload that nobody else holds becomes the mean.
      for (const auto& each : sum.contributions) {
        if (!mean && touched.all && each && each->payload && !each->push.sparse && each->payload.use_count() == 1)
          mean = each->payload;
      }
      const std::size_t rows = touched.all ? key.shape.rows : touched.rows.size();
      if (!mean) mean = std::make_shared<Payload>(rows * key.shape.row_bytes());
      to = mean->data();
    }
    mean_of(sum.contributions, *tree_, key.shape, touched, reduced.total_weight, to);
    if (updates) {
      const auto gradient = key.unit->unit->gradient(key.info->range);
      if (!touched.all) lay_out(*mean, touched.rows, key.shape, {.all = true}, false, gradient.data());
      reduced.block_sums = block_sums_of(gradient, key.shape.dtype);
    } else {
      reduced.sparse = !touched.all;
      reduced.rows = touched.rows;
      result.payload = std::move(mean);
    }
  }
  key.summed = step;
  if (key.group->serves()) {
    for (const auto& [rank, worker] : workers_.by_rank()) {
      if (worker.present) send(key, worker.connection, reduced, result.payload, out);
    }
  }
  key.results.push_back(std::move(result));
  drop_results(key);
}

/// A worker that has pushed a later step has had the sums before it. The last is kept in any case: its update may be to come.
void Shard::State::drop_results(KeyState& key) {
  std::uint64_t had = std::numeric_limits<std::uint64_t>::max();
  for (const auto& [rank, record] : key.workers) had = std::min(had, record.clock);
  if (key.workers.size() < options_.workers) had = 0;
  while (key.results.size() > 1) {
    const Result& first = key.results.front();
    if (first.reduced.step >= had && key.results.size() <= (first.payload ? most_means : most_results)) return;
    key.results.pop_front();
  }
}

void Shard::State::tell_results(KeyState& key, const Worker& worker, std::uint64_t from_step, Out& out) {
  for (const Result& each : key.results) {
    if (each.reduced.step >= from_step) send(key, worker.connection, each.reduced, each.payload, out);
  }
}

/// Behind the acknowledgement of a push that was late, or comes again. Who has had the sum passes over the failure, as his push is done.
void Shard::State::tell_sum_of(KeyState& key, const Worker& worker, std::uint64_t sequence, std::uint64_t step,
                               Out& out) {
  const bool is_kept = std::any_of(key.results.begin(), key.results.end(),
                                   [&](const Result& each) { return each.reduced.step == step; });
  if (step > key.summed || is_kept) return tell_results(key, worker, step, out);
  send(key, worker.connection,
       Failed{sequence, ErrorCode::peer_lost,
              "worker " + std::to_string(rank_of(worker.id)) + " was away for too long: the sum of step " +
                  std::to_string(step) + " of tensor '" + key.tensor->name +
                  "' is kept no more, as the others have come to step " + std::to_string(key.summed)},
       nullptr, out);
}

void Shard::State::update_unit(UnitState& unit, Out& out) {
  bool used = false, empty = false;
  for (const KeyState* key : unit.keys) {
    const Reduced& sum = key->results.back().reduced;
    used = used || sum.used_by != 0;
    empty = empty || sum.total_weight == 0.0;
  }
  const Update& update = unit.update;
  const bool applies = used && !empty && !update.skip;
  if (applies) {
    unit.unit->apply(unit.unit->gradient(unit.unit->range()).data(), update.scale, update.clip_value,
                     update.learning_rate);
    ++statistics_.updates;
  }
  for (KeyState* key : unit.keys) {
    key->clock = key->summed;
    key->marked = false;
    if (applies) {
      ++key->version;
      key->published.reset();
    }
  }
  // Those decided before are in the values that are given out now.
  std::uint64_t order = 0;
  for (const KeyState* key : unit.keys) order = std::max(order, key->last_order);
  for (KeyState* key : unit.keys) key->last_order = order;
  for (KeyState* key : unit.keys) answer_pulls(*key, out);
  for (KeyState* key : unit.keys) complete_sums(*key, out);
}

bool Shard::State::can_complete(const SumUnderWay* sum, bool lost_may_return) const {
  std::uint32_t possible = options_.workers;
  for (const auto& [rank, worker] : workers_.by_rank()) {
    const bool is_in = sum != nullptr && sum->contributions[rank];
    const bool is_gone = lost_may_return ? worker.left : !worker.present;
    if (is_gone && !is_in) --possible;
  }
  return possible >= needed();
}

/// A push is taken as long as those who were lost may return. But where others have left, too, nobody whose loss is still to come
/// would tell this worker that it waits in vain.
void Shard::State::tell_if_left_alone(const KeyState& key, const Worker& worker, std::uint64_t step, Out& out) {
  const auto sum = key.sums.find(step);
  if (sum == key.sums.end() || can_complete(&sum->second, false)) return;
  const auto& all = workers_.by_rank();
  if (std::none_of(all.begin(), all.end(), [](const auto& each) { return each.second.left; })) return;
  out.push_back(
      {worker.connection, Failed{0, ErrorCode::peer_lost,
                                 "workers have left and others are lost: the sum of step " + std::to_string(step) +
                                     " of tensor '" + key.tensor->name + "' cannot be complete"}});
}

void Shard::State::tell_sums_are_lost(std::uint32_t rank, ErrorCode code, const std::string& what, Out& out) {
  std::uint32_t possible = options_.workers;
  for (const auto& [other, worker] : workers_.by_rank()) {
    if (!worker.present) --possible;
  }
  if (possible >= needed()) return;
  // Who serves no keys has no sums that could lack a part.
  if (std::none_of(groups_.begin(), groups_.end(), [](const auto& each) { return each.second.serves(); })) return;
  for (const auto& [other, worker] : workers_.by_rank()) {
    if (worker.present)
      out.push_back(
          {worker.connection,
           Failed{0, code, "worker " + std::to_string(rank) + " " + what + ": sums that need it cannot be complete"}});
  }
}

}  // namespace trireme::ps
