// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/memory_tier.hpp"
#include "trireme/checkpoint/state.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace trireme::checkpoint {

struct SaverOptions {
  std::uint64_t keep_last = 2;   ///< complete checkpoints that stay; at least 1
  std::uint64_t keep_every = 0;  ///< steps whose multiples stay too; 0: none
  /// Also keeps every complete save in memory, here and on another rank; must outlive the saver.
  MemoryTier* memory_tier = nullptr;
  /// That other rank, counted from this one: the ranks per host puts it on another host.
  int replica_distance = 1;
};

/// What became of a save; the same on every rank.
struct SaveReport {
  std::uint64_t step = 0;
  bool is_complete = false;
  std::string problem{};    ///< why it is not, naming the rank; of a complete one, why older ones could not be removed
  std::uint64_t bytes = 0;  ///< of all ranks
  double seconds = 0.0;     ///< from save() on
};

/// Saves training states while training goes on. save() copies this rank's share into memory of the saver's own, which is all
/// that training waits for; a thread then writes it, and when all ranks have theirs on the device, rank 0 completes the
/// checkpoint by its manifest. One copy at most: a save that finds another under way waits for it.
/// What is saved is the state at save(), whatever training does next.
/// Cost:    save(): one copy of 1/P of the state; advance(): nothing, or one small all_reduce while a save is under way.
/// Order:   collective, all of it, on a communicator of its own.
/// Threads: one caller, and one of its own.
class Saver {
 public:
  /// `folder` must outlive it, and is taken over if it was not yet. `parent`: what this attempt went on from, which is not saved
  /// again. Collective.
  /// Errors: invalid_argument naming the setting.
  Saver(Folder& folder, const SaverOptions& options = {}, const std::optional<Manifest>& parent = std::nullopt);
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;
  /// Waits for this rank's own writing, and removes what it wrote of a save that no rank has begun to complete: finish() before.
  ~Saver();

  /// Makes the memory that a save of `state` will want, and touches it, beside the training loop: the first save is then as short
  /// as any. Of use once the state has its size, which optimizers give it in their first step. Not collective.
  void prepare(const TrainingState& state);
  /// Begins to save `state` as that of `step` (optimizer steps done). When it returns the state may change: it is staged.
  /// Returns what became of a save that was still under way.
  /// Errors, alike on all ranks: mismatch when they have different steps or lists of tensors; invalid_argument when a later
  ///         step is complete already; system when there is no memory for the copy; those of the parts of the state and of
  ///         advance().
  std::optional<SaveReport> save(std::uint64_t step, const TrainingState& state);
  /// Moves a save on, without waiting for any file; says when it is over. Once per step, say.
  /// Errors: closed when another attempt has taken the folder over.
  std::optional<SaveReport> advance();
  /// Waits until what is under way is complete or has failed; every 10 s it warns (FolderOptions::warn), naming the rank whose
  /// file takes so long.
  std::optional<SaveReport> finish();
  bool is_busy() const;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace trireme::checkpoint
