// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/logical_pieces.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/optim/optimizer.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace trireme::cli {

/// Who has which part of the state of a share.
struct StateSharing {
  std::function<layout::Interval(std::size_t local)> owned{};  ///< unset: every replica has all
  std::optional<Communicator> replicas{};
};

/// What a checkpoint keeps of an optimizer of shares: as checkpoint::OptimizerState of a whole model, so that each is loaded as the
/// other (see mesh_state).
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

}  // namespace trireme::cli
