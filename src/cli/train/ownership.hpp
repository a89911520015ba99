// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/logical_pieces.hpp"
#include "cli/train/training_position.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/checkpoint/training_parts.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// What a rank keeps of what is trained, by the stage of --zero, and which of it it saves.
/// Threads: one at a time.
class Ownership {
 public:
  /// `data_parallel` must outlive it, and stay where it is. `shard_group`: 0, all ranks are one. `pieces`: of a model that ranks have in shares; unset: data_parallel has all of it.
  Ownership(DataParallel& data_parallel, int stage, int shard_group, std::optional<LogicalPieces> pieces = {});

  /// Values are in parts, which others than apply() must be told of by DataParallel::values_written().
  bool of_values() const { return stage_ == 3; }
  bool of_state() const { return stage_ != 0; }

  /// The values that this rank has: parts at stage 3.
  std::vector<Parameter> values() const;
  /// Where they begin in the whole.
  std::vector<std::size_t> firsts() const;

  // What a checkpoint keeps of them.
  using State = std::unique_ptr<checkpoint::Stateful>;
  State values_state() const;
  State optimizer_state(Optimizer& optimizer) const;
  State average_state(WeightAverage& average) const;
  State selection_state(Selection& selection) const;

 private:
  checkpoint::OwnedElements elements() const;
  checkpoint::SavesOwned saves() const;

  DataParallel& data_parallel_;
  int stage_;
  int shard_group_;
  std::optional<LogicalPieces> pieces_;
};

}  // namespace trireme::cli
