// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/manifest.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace trireme::checkpoint {

/// Shares of the last saves, in memory: this rank's own and that of the rank before it (SaverOptions::replica_distance). While of
/// no two neighbours both are lost, the others hold the whole state, and go on without a look at a disk. Outlives communicators.
/// Cost:    four shares of memory: two saves, so that one that is not complete takes nothing from the one before.
/// Threads: one at a time.
class MemoryTier {
 public:
  /// A share: the data of a part, which the manifest of its save describes.
  struct Share {
    std::uint32_t part = 0;
    std::vector<std::byte> data{};
  };
  struct Save {
    std::shared_ptr<const Manifest> manifest{};  ///< null: of a save that is not held
    std::vector<Share> shares{};
  };

  /// The newest save of which the members of `communicator` together hold every share is put into `state`: those left of the
  /// ranks that saved it, and new ones, who hold nothing. Nothing, and `state` untouched, when there is none. Collective.
  /// Cost:   every byte is read by one rank, which gives it to the others.
  /// Errors: corrupt when memory is not what was saved; those of the parts of the state.
  std::optional<Manifest> resume(Communicator communicator, const TrainingState& state) const;

  /// What it holds; the newer first.
  const std::vector<Save>& saves() const { return saves_; }

 private:
  friend class ReplicaExchange;
  void keep(Save save);
  std::vector<Share> take_oldest();
  std::vector<Save> saves_;
};

}  // namespace trireme::checkpoint
