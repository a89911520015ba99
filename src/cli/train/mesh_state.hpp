// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/logical_pieces.hpp"
#include "cli/train/selection.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/optim/weight_average.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

// What a checkpoint keeps of a model that ranks have in shares: the same sections, names and logical shapes as of a whole one
// (checkpoint/training_parts), so that each is loaded as the other. Saving and restored() are collective over the world; the pieces
// stay here until the next ones.

namespace trireme::cli {

class MeshParameterState final : public checkpoint::Stateful {
 public:
  /// `local`: this rank's, by ModelShares::local().
  MeshParameterState(const LogicalPieces& pieces, std::span<const Parameter> local)
      : pieces_(pieces), local_(local.begin(), local.end()) {}
  void save(checkpoint::StateWriter& writer) const override;
  /// Errors: invalid_argument when number, names or shapes are others.
  void restore(checkpoint::StateReader& reader) override;
  void restored() override;

 private:
  mutable LogicalPieces pieces_;
  std::vector<Parameter> local_;
  mutable std::vector<std::vector<float>> kept_;  ///< by parameter of the whole
};

/// Who has which part of the state of a share.
struct StateSharing {
  std::function<layout::Interval(std::size_t local)> owned{};  ///< unset: every replica has all
  std::optional<Communicator> replicas{};
};

class MeshOptimizerState final : public checkpoint::Stateful {
 public:
  MeshOptimizerState(const LogicalPieces& pieces, Optimizer& optimizer, std::span<const Parameter> local,
                     StateSharing sharing)
      : pieces_(pieces), optimizer_(optimizer), local_(local.begin(), local.end()), sharing_(std::move(sharing)) {}
  void save(checkpoint::StateWriter& writer) const override;
  /// Errors: invalid_argument when the checkpoint is another rule's, or of other tensors.
  void restore(checkpoint::StateReader& reader) override;
  void restored() override;

 private:
  TensorShape shape_of(const Parameter& parameter) const;
  std::vector<float> share(const Optimizer::SavedState& saved, std::size_t state, std::size_t count) const;

  /// A state tensor that is being read.
  struct Incoming {
    std::size_t parameter;
    std::size_t count;         ///< of the logical tensor
    std::size_t local_count;   ///< of this rank's share
    std::vector<float> piece;  ///< of all of it
    std::size_t first;         ///< of what this rank owns, in its share
    TensorView to;             ///< what it owns; null data where it has nothing
  };
  mutable LogicalPieces pieces_;
  Optimizer& optimizer_;
  std::vector<Parameter> local_;
  mutable StateSharing sharing_;
  mutable std::vector<std::vector<float>> kept_;
  std::vector<Incoming> incoming_;
};

class MeshAverageState final : public checkpoint::Stateful {
 public:
  MeshAverageState(const LogicalPieces& pieces, WeightAverage& average, std::span<const Parameter> local)
      : pieces_(pieces), average_(average), local_(local.begin(), local.end()) {}
  void save(checkpoint::StateWriter& writer) const override;
  void restore(checkpoint::StateReader& reader) override;
  void restored() override;

 private:
  mutable LogicalPieces pieces_;
  WeightAverage& average_;
  std::vector<Parameter> local_;
  mutable std::vector<std::vector<float>> kept_;
  std::uint64_t incoming_updates_ = 0;
};

class MeshSelectionState final : public checkpoint::Stateful {
 public:
  MeshSelectionState(const LogicalPieces& pieces, Selection& selection, std::span<const Parameter> local)
      : pieces_(pieces), selection_(selection), local_(local.begin(), local.end()) {}
  void save(checkpoint::StateWriter& writer) const override;
  void restore(checkpoint::StateReader& reader) override;
  void restored() override;

 private:
  mutable LogicalPieces pieces_;
  Selection& selection_;
  std::vector<Parameter> local_;
  mutable std::vector<std::vector<float>> kept_;
};

}  // namespace trireme::cli
