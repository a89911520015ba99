// SPDX-License-Identifier: Apache-2.0
#include "cli/train/batch_norm_exchange.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/distributed_sampler.hpp"

#include <string>

namespace trireme::cli {

void check_sync_batch_norm(const TrainOptions& options, int leaves, int ranks) {
  if (!options.sync_batch_norm || leaves == ranks) return;
  const std::string what = options.accumulate != 0 ? "--accumulate " + std::to_string(options.accumulate)
                                                   : "--logical-shards " + std::to_string(options.logical_shards);
  fail(ErrorCode::unsupported, "--sync-batch-norm needs one leaf per rank, and " + what + " makes " +
                                   std::to_string(leaves) + " leaves on " + std::to_string(ranks) +
                                   (ranks == 1 ? " rank" : " ranks") + ": leave one of the two flags out");
}

BatchNormExchange::BatchNormExchange(Communicator& communicator, models::Classifier& model)
    : communicator_(*communicator.split(0)), model_(model) {
  model_.use_statistics_exchange(this);
}

void BatchNormExchange::begin_step(std::span<const std::uint32_t> batch) {
  const auto own = data::DistributedSampler::leaf(batch, communicator_.size(), communicator_.rank());
  if (!own.empty()) return;
  model_.forward_backward({nullptr, 0, model_.parameters().front().value.dtype}, {});
}

void BatchNormExchange::gather(std::span<const double> own, std::span<double> all) {
  communicator_.all_gather(own, all, {.label = "batch norm"});
}

}  // namespace trireme::cli
