// SPDX-License-Identifier: Apache-2.0
#include "cli/train/shard_feed.hpp"

#include "trireme/base/error.hpp"

namespace trireme::cli {
namespace {

/// How many steps after the one under way may be asked for. Bounds the search of a rank that has no samples for long.
constexpr std::uint64_t steps_ahead = 1;

}  // namespace

ShardFeed::ShardFeed(const data::LabelledImages& images, data::DistributedSampler& sampler, int leaves,
                     layout::LeafBlock own, const data::BatchLoaderOptions& options)
    : sampler_(sampler), leaves_(leaves), own_(own), loader_(images, options), cursor_(sampler.cursor()) {}

void ShardFeed::begin_step() {
  ++begun_;
  look_ahead();
}

data::Batch ShardFeed::next() {
  if (loader_.outstanding() == 0) fail(ErrorCode::invalid_argument, "the feed has no more shards of this step");
  const data::Batch batch = loader_.next();
  look_ahead();
  return batch;
}

void ShardFeed::look_ahead() {
  while (loader_.outstanding() < loader_.capacity() && requested_ < begun_ + steps_ahead) {
    const auto samples =
        data::DistributedSampler::leaf(sampler_.batch(cursor_.epoch, cursor_.step), leaves_, own_.first + leaf_);
    if (!samples.empty()) loader_.request(samples);
    if (++leaf_ < own_.count) continue;
    leaf_ = 0;
    cursor_ = sampler_.next(cursor_);
    ++requested_;
  }
}

}  // namespace trireme::cli
