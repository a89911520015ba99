// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/loss_meter.hpp"
#include "cli/train/report.hpp"
#include "cli/train/selection.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace trireme::cli {

/// Where a training job stands beside its weights: steps, the batch that comes next, the losses summed up since the last line
/// of metrics, leaf by leaf. All it refers to must outlive it.
class TrainingPosition final : public checkpoint::Stateful {
 public:
  struct Parts {
    std::uint64_t& step;
    std::uint64_t& applied;
    const std::uint64_t& total_steps;  ///< at which training is complete; for those who look on
    TrainResult& result;
    data::DistributedSampler& sampler;
    LossMeter& epoch_loss;
    LossMeter& recent_loss;
    int leaves;             ///< of all ranks
    layout::LeafBlock own;  ///< this rank's
    bool saves = true;      ///< this rank's sums, which others have too where they have the model together
  };
  explicit TrainingPosition(const Parts& parts) : parts_(parts) {}
  void save(checkpoint::StateWriter& writer) const override;
  /// Errors: invalid_argument when the batch is another: then the place in the data is nowhere.
  void restore(checkpoint::StateReader& reader) override;
  void restored() override;

 private:
  void save_meter(checkpoint::StateWriter& writer, const char* name, const LossMeter& meter) const;
  void restore_meter(checkpoint::StateReader& reader, const char* name, LossMeter& meter, std::vector<double>& foreign);
  Parts parts_;
  std::vector<double> foreign_epoch_, foreign_recent_;  // sums of other leaves than there are now
};

/// What a checkpoint says of the best evaluation so far, its weights apart.
void save_scores(checkpoint::StateWriter& writer, const Selection& selection);
/// The inverse; room for weights of these sizes in bytes, to be filled.
std::vector<std::vector<std::byte>>& restore_scores(checkpoint::StateReader& reader, Selection& selection,
                                                    std::span<const std::size_t> sizes);

/// The best evaluation so far, and its weights where they are kept.
class SelectionState final : public checkpoint::Stateful {
 public:
  explicit SelectionState(Selection& selection) : selection_(selection) {}
  /// What this rank has of a value, in bytes.
  struct Part {
    std::size_t first = 0;
    std::size_t bytes = 0;
    std::size_t whole = 0;
  };
  /// The same where ranks keep parts of the weights. `saves`: whether this rank's are saved, and not another's that are the same.
  SelectionState(Selection& selection, std::vector<Part> parts, bool saves)
      : selection_(selection), parts_(std::move(parts)), saves_(saves) {}
  void save(checkpoint::StateWriter& writer) const override;
  void restore(checkpoint::StateReader& reader) override;

 private:
  Selection& selection_;
  std::vector<Part> parts_;  ///< empty: values are whole
  bool saves_ = true;
};

}  // namespace trireme::cli
