// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/memory_tier.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace trireme::checkpoint {

/// Brings a save's shares into memory tiers: each rank's own, and that of the rank `distance` before it. In this order, on all
/// ranks: room(), start(), is_done() until it is, keep().
class ReplicaExchange {
 public:
  /// `communicator` and `tier` must outlive it.
  /// Errors: invalid_argument unless 1 <= distance < ranks; on one rank any.
  ReplicaExchange(Communicator& communicator, MemoryTier& tier, int distance);

  /// Memory for the own share; `sizes`: of every rank's.
  std::span<std::byte> room(std::span<const std::uint64_t> sizes);
  /// The own share is there: begins to send it. Not collective.
  void start();
  /// Whether both have arrived. Not collective.
  bool is_done();
  /// The save is complete: what was exchanged belongs to `manifest`.
  void keep(std::shared_ptr<const Manifest> manifest);

 private:
  int after() const;   ///< the rank that gets this one's share
  int before() const;  ///< the rank whose share this one gets
  Communicator& communicator_;
  MemoryTier& tier_;
  int distance_;
  std::vector<MemoryTier::Share> shares_;  // own, then that of the rank before
  std::optional<Work> sent_, received_;    // last: they use the shares
};

}  // namespace trireme::checkpoint
