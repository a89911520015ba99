// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/tasks/model_shares.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/layout/interval.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trireme::cli {

/// Logical tensors of a model that ranks have in shares, cut into one piece of consecutive elements for each rank of the world:
/// as checkpoints keep them, so that any other mesh, or none, reads them. cut() and spread() are collective over the world.
/// Cost:    one whole tensor of memory at a time, which every rank gets.
/// Threads: one at a time.
class LogicalPieces {
 public:
  /// `shares` must outlive it.
  LogicalPieces(Communicator world, ModelShares& shares) : world_(std::move(world)), shares_(&shares) {}

  ModelShares& shares() const { return *shares_; }
  /// This rank's elements of a tensor of so many.
  layout::Interval own(std::size_t count) const { return piece(count, world_.rank()); }
  /// What this rank has of the parameter, among its `list` (by ModelShares::local()); null: nothing.
  const Parameter* local(const std::vector<Parameter>& list, std::size_t parameter) const {
    const auto place = shares_->local(parameter);
    return place ? &list[*place] : nullptr;
  }
  /// This rank's piece of the tensor of `count` elements whose share here is `share`, lying as the parameter does.
  std::vector<float> cut(std::size_t parameter, std::span<const float> share, std::size_t count);
  /// The inverse: of all ranks' pieces this rank's share; empty where it has nothing of the parameter.
  void spread(std::size_t parameter, std::span<const float> piece, std::size_t count, std::span<float> share);
  /// Room for this rank's piece of a checkpoint's tensor of `count` elements, to be filled where it lies. Not collective.
  /// Errors: invalid_argument naming the tensor that has others.
  std::vector<float> read(checkpoint::StateReader& reader, const std::string& name, std::size_t count) const;
  /// The shape of what has one dimension.
  static std::vector<std::int64_t> flat(std::size_t count) { return {static_cast<std::int64_t>(count)}; }

 private:
  layout::Interval piece(std::size_t count, int rank) const {
    return layout::piece({0, count}, static_cast<std::size_t>(world_.size()), static_cast<std::size_t>(rank));
  }

  Communicator world_;
  ModelShares* shares_;
};

}  // namespace trireme::cli
