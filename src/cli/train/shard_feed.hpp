// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/batch_loader.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <cstdint>

namespace trireme::cli {

/// The features of this rank's shards, in the order in which the step loop passes them, asked for ahead of their use.
class ShardFeed {
 public:
  /// `images` and `sampler` must outlive the feed. `own`: this rank's block of `leaves` leaves.
  ShardFeed(const data::LabelledImages& images, data::DistributedSampler& sampler, int leaves, layout::LeafBlock own,
            const data::BatchLoaderOptions& options);

  /// The step at the sampler's cursor begins. Every step once, in order.
  void begin_step();
  /// Of the next own leaf with samples; valid until the next call. Once per shard of the step.
  data::Batch next();

 private:
  void look_ahead();

  data::DistributedSampler& sampler_;
  int leaves_;
  layout::LeafBlock own_;
  data::BatchLoader loader_;
  data::SamplerCursor cursor_;   // of the step being requested
  int leaf_ = 0;                 // next own leaf of that step to look at
  std::uint64_t requested_ = 0;  // steps requested completely
  std::uint64_t begun_ = 0;      // steps begun
};

}  // namespace trireme::cli
