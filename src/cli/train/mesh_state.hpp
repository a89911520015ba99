// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/logical_pieces.hpp"
#include "cli/train/selection.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/optim/weight_average.hpp"

#include <cstdint>
#include <span>
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
