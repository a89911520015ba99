// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/contribution.hpp"
#include "ps/mean.hpp"
#include "ps/message.hpp"
#include "ps/replication.hpp"
#include "ps/shard.hpp"
#include "ps/update_unit.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace trireme::ps {

struct KeyState;

/// What one worker has done to one key.
struct WorkerRecord {
  WorkerId worker = 0;
  std::uint64_t sequence = 0;  ///< the last that was handled
  std::uint64_t clock = 0;     ///< the last step it pushed, or where it began
  bool pushed = false;
};

/// Contributions of one step, by rank.
struct SumUnderWay {
  Contributions contributions;
  std::uint32_t count = 0;
  bool is_open = false;  ///< credit knows of it
};

/// A sum that is complete, for workers that have to hear of it again.
struct Result {
  Reduced reduced;
  std::shared_ptr<const Payload> payload{};
};

struct DelayedPull {
  std::uint32_t rank = 0;
  Pull pull{};
};

/// A unit of update with its keys, and what is under way for it.
struct UnitState {
  std::unique_ptr<UpdateUnit> unit;
  std::vector<KeyState*> keys;  ///< in order of elements
  /// The update that the sum of a step waits for; that of the first key that got one.
  Update update{};
  /// Pushes of one worker and step, for a rule that needs the whole tensor: by key, until all have come.
  std::map<std::pair<std::uint32_t, std::uint64_t>, Contributions> gathered;
};

/// Everything about one key.
struct KeyState {
  Key key = 0;
  const KeyInfo* info = nullptr;
  const TensorInfo* tensor = nullptr;
  KeyShape shape{};
  Replication* group = nullptr;
  UnitState* unit = nullptr;
  std::size_t place = 0;  ///< among the unit's keys

  bool initialised = false;
  std::uint64_t version = 0;
  std::uint64_t last_order = 0;                     ///< of what was decided about it
  std::map<std::uint32_t, WorkerRecord> workers{};  ///< by rank

  // bulk-synchronous
  std::map<std::uint64_t, SumUnderWay> sums{};
  std::deque<Result> results{};
  std::uint64_t summed = 0;  ///< the last step of which the sum is complete
  std::uint64_t clock = 0;   ///< the last step that was updated or passed over
  bool marked = false;       ///< the update of `summed` has come

  std::vector<DelayedPull> pulls{};
  std::shared_ptr<const Payload> published{};  ///< the values, once somebody has asked for them in this version

  /// Its sum waits for an update.
  bool awaits_update() const { return unit->unit->updates() && summed > clock; }
};

}  // namespace trireme::ps
