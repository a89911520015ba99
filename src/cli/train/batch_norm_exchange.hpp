// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/models/statistics_exchange.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::cli {

/// Errors: unsupported, naming the flags, for --sync-batch-norm with other than one leaf per rank.
void check_sync_batch_norm(const TrainOptions& options, int leaves, int ranks);

/// Batch normalisation over the samples of all ranks, each of which has one leaf of a batch: `--sync-batch-norm`.
/// Order: over a communicator of its own, since gradients are reduced meanwhile. Ranks wait for one another at every batch
///        norm, forward and backward.
class BatchNormExchange final : public models::StatisticsExchange {
 public:
  /// Collective. `model` uses it from here on, and must outlive it.
  /// Errors: unsupported for a model without batch normalisation.
  BatchNormExchange(Communicator& communicator, models::Classifier& model);

  /// Before the shards of every step, whose samples are `batch`: a rank without any of them joins the passes of the others. Its
  /// gradients become 0, which is why no reduction may be under way.
  void begin_step(std::span<const std::uint32_t> batch);

  std::size_t ranks() const override { return static_cast<std::size_t>(communicator_.size()); }
  void gather(std::span<const double> own, std::span<double> all) override;

 private:
  Communicator communicator_;
  models::Classifier& model_;
};

}  // namespace trireme::cli
