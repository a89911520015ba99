// SPDX-License-Identifier: Apache-2.0
#include "ps/shard_state.hpp"
#include "trireme/base/error.hpp"

#include <cmath>
#include <limits>
#include <string>

namespace trireme::ps {
namespace {

/// Sums of one key that may be open at a time; more is no training loop.
constexpr std::size_t most_open_sums = 64;

bool is_rate(double value) { return std::isfinite(value) && value >= 0.0; }

}  // namespace

void Shard::State::refuse(const KeyState& key, const std::string& what) const {
  fail(ErrorCode::invalid_argument,
       "key " + std::to_string(key.key) + " of tensor '" + key.tensor->name + "': " + what);
}

Shard::State::Worker& Shard::State::worker_of(const From& from) {
  Worker* const worker = workers_.of(from.connection);
  if (worker == nullptr) fail(ErrorCode::invalid_argument, "a worker joins before it says anything else");
  return *worker;
}

KeyState& Shard::State::key_of(Key key) {
  const auto found = keys_.find(key);
  if (found == keys_.end())
    fail(ErrorCode::invalid_argument, "key " + std::to_string(key) + " is none of loop " +
                                          std::to_string(options_.loop) + " of server " +
                                          std::to_string(options_.server));
  return *found->second;
}

KeyState& Shard::State::served_key(Key key) {
  KeyState& state = key_of(key);
  if (state.group->is_lost())
    fail(ErrorCode::peer_lost, "an earlier process of server " + std::to_string(options_.server) +
                                   " has ended while its keys had no replica: what they held is lost");
  if (!state.group->serves())
    fail(ErrorCode::closed, "key " + std::to_string(key) + " is not served by server " +
                                std::to_string(options_.server) + " (view " +
                                std::to_string(state.group->view().number) + ")");
  return state;
}

Replication& Shard::State::group_of(std::uint32_t server) {
  const auto found = groups_.find(server);
  if (found == groups_.end())
    fail(ErrorCode::invalid_argument,
         "server " + std::to_string(options_.server) + " holds nothing of server " + std::to_string(server));
  return found->second;
}

void Shard::State::check_server(std::uint32_t server) const {
  if (server >= options_.plan->options().servers)
    fail(ErrorCode::corrupt, "server " + std::to_string(server) + " is named, of " +
                                 std::to_string(options_.plan->options().servers) + " servers");
}

void Shard::State::check_rows(const KeyState& key, std::span<const std::uint32_t> rows) const {
  if (!key.tensor->row_sparse) refuse(key, "is not row-sparse: all of it travels");
  const KeyShape& shape = key.shape;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < shape.first_row || rows[i] - shape.first_row >= shape.rows)
      refuse(key, "row " + std::to_string(rows[i]) + " is none of its rows [" + std::to_string(shape.first_row) + ", " +
                      std::to_string(shape.first_row + shape.rows) + ")");
    if (i > 0 && rows[i] <= rows[i - 1])
      refuse(key, "row " + std::to_string(rows[i]) + " stands behind row " + std::to_string(rows[i - 1]) +
                      "; rows must ascend");
  }
}

void Shard::State::check_initialise(const KeyState& key, const Initialise& initialise, std::size_t bytes) const {
  if (key.initialised) return;  // whatever it says, nothing happens
  const std::string misfit = key.unit->unit->misfit(key.info->range, initialise.state, bytes);
  if (!misfit.empty()) refuse(key, "initial values: " + misfit);
}

void Shard::State::check_push(const KeyState& key, const Push& push, WorkerId worker, std::size_t bytes) const {
  if (push.step == 0) refuse(key, "steps are numbered from 1");
  if (!is_rate(push.weight)) refuse(key, "weight " + std::to_string(push.weight) + " is not finite and at least 0");
  if (!push.used && (push.sparse || !push.rows.empty())) refuse(key, "a push without gradient has rows");
  if (push.sparse) {
    check_rows(key, push.rows);
  } else if (!push.rows.empty()) {
    refuse(key, "a dense push has rows");
  }
  const std::size_t wanted = !push.used    ? 0
                             : push.sparse ? push.rows.size() * key.shape.row_bytes()
                                           : key.shape.bytes();
  if (bytes != wanted)
    refuse(key, "a push has " + std::to_string(bytes) + " bytes where " + std::to_string(wanted) + " belong");
  if (key.unit->unit->updates() && !key.initialised) refuse(key, "is pushed to before it has values");
  const auto record = key.workers.find(rank_of(worker));
  const bool known = record != key.workers.end() && record->second.worker == worker;
  if (!bulk_synchronous()) {
    if (!std::isfinite(push.scale)) refuse(key, "scale " + std::to_string(push.scale) + " is not finite");
    if (!is_rate(push.clip_value) || !is_rate(push.learning_rate))
      refuse(key, "learning rate " + std::to_string(push.learning_rate) + " or clip value " +
                      std::to_string(push.clip_value) + " is not finite and at least 0");
    return;
  }
  if (known && record->second.pushed && push.step <= record->second.clock)
    refuse(key, "step " + std::to_string(push.step) + " is pushed behind step " + std::to_string(record->second.clock));
  if (push.step > key.summed && !key.sums.contains(push.step) && key.sums.size() >= most_open_sums)
    refuse(key, std::to_string(most_open_sums) + " sums of it are under way already");
}

void Shard::State::check_update(const KeyState& key, const Update& update) const {
  if (!bulk_synchronous() || !key.unit->unit->updates()) refuse(key, "this server applies no updates of sums");
  if (!std::isfinite(update.scale)) refuse(key, "scale " + std::to_string(update.scale) + " is not finite");
  if (!is_rate(update.clip_value) || !is_rate(update.learning_rate))
    refuse(key, "learning rate " + std::to_string(update.learning_rate) + " or clip value " +
                    std::to_string(update.clip_value) + " is not finite and at least 0");
  if (update.step > key.clock && update.step != key.summed)
    refuse(key, "the sum of step " + std::to_string(update.step) + " is not complete");
}

}  // namespace trireme::ps
