// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/distributed_sampler.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "trireme/layout/interval.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace trireme::data {
namespace {

void shuffle(std::span<std::uint32_t> order, std::uint64_t key) {
  PhiloxStream random(key);
  for (std::size_t i = order.size() - 1; i > 0; --i) {
    std::swap(order[i], order[random.below(static_cast<std::uint32_t>(i + 1))]);
  }
}

void require_equal(const char* what, std::uint64_t saved, std::uint64_t own) {
  if (saved == own) return;
  fail(ErrorCode::invalid_argument, std::string("the saved sampler has ") + what + " " + std::to_string(saved) +
                                        ", this one " + std::to_string(own) + ": resume with the same settings");
}

}  // namespace

DistributedSampler::DistributedSampler(const SamplerOptions& options) : options_(options) {
  if (options.count == 0 || options.count > std::numeric_limits<std::uint32_t>::max()) {
    fail(ErrorCode::invalid_argument,
         "a sampler needs 1 to 4294967295 samples, the data set has " + std::to_string(options.count));
  }
  const std::uint64_t last = options.first + (options.count - 1) * static_cast<std::uint64_t>(options.stride);
  if (options.stride == 0 || last > std::numeric_limits<std::uint32_t>::max())
    fail(ErrorCode::invalid_argument, "a sampler's share must step by 1 at least, and end below 4294967296");
  if (options.global_batch == 0) fail(ErrorCode::invalid_argument, "the global batch must hold at least one sample");
  steps_per_epoch_ = options.count / options.global_batch + (options.count % options.global_batch != 0 ? 1 : 0);
  const std::size_t needed = options.shuffle ? cache_.size() : 1;
  for (std::size_t i = 0; i < needed; ++i) {
    cache_[i].order.resize(options.count);
    list(cache_[i].order);
  }
}

SamplerOptions share_of(std::size_t count, std::uint32_t part, std::uint32_t parts) {
  if (part >= parts || part >= count)
    fail(ErrorCode::invalid_argument, "worker " + std::to_string(part) + " of " + std::to_string(parts) +
                                          " has no share of " + std::to_string(count) +
                                          " samples: start fewer workers");
  return {.count = (count - part + parts - 1) / parts, .first = part, .stride = parts};
}

void DistributedSampler::list(std::vector<std::uint32_t>& order) const {
  std::uint32_t sample = options_.first;
  for (std::uint32_t& each : order) each = std::exchange(sample, sample + options_.stride);
}

std::span<const std::uint32_t> DistributedSampler::permutation(std::uint64_t epoch) {
  if (!options_.shuffle) return cache_[0].order;
  if (cache_[latest_].epoch != epoch) {
    latest_ = 1 - latest_;
    Permutation& entry = cache_[latest_];
    if (entry.epoch != epoch) {
      list(entry.order);
      shuffle(entry.order, stream_key(options_.seed, epoch));
      entry.epoch = epoch;
    }
  }
  return cache_[latest_].order;
}

std::span<const std::uint32_t> DistributedSampler::batch(std::uint64_t epoch, std::uint64_t step) {
  if (step >= steps_per_epoch_) {
    fail(ErrorCode::invalid_argument, "step " + std::to_string(step) + " of an epoch of " +
                                          std::to_string(steps_per_epoch_) + " steps does not exist");
  }
  const std::size_t begin = static_cast<std::size_t>(step) * options_.global_batch;
  return permutation(epoch).subspan(begin, std::min(options_.global_batch, options_.count - begin));
}

std::span<const std::uint32_t> DistributedSampler::leaf(std::span<const std::uint32_t> batch, int leaves, int leaf) {
  if (leaf < 0 || leaf >= leaves) {
    fail(ErrorCode::invalid_argument,
         "leaf " + std::to_string(leaf) + " of " + std::to_string(leaves) + " leaves does not exist");
  }
  const layout::Interval part =
      layout::piece({0, batch.size()}, static_cast<std::size_t>(leaves), static_cast<std::size_t>(leaf));
  return batch.subspan(part.begin, part.size());
}

SamplerCursor DistributedSampler::next(SamplerCursor cursor) const {
  if (cursor.step + 1 < steps_per_epoch_) return {cursor.epoch, cursor.step + 1};
  return {cursor.epoch + 1, 0};
}

SamplerState DistributedSampler::state() const {
  return {options_.count, options_.global_batch, options_.seed, options_.shuffle, cursor_};
}

void DistributedSampler::restore(const SamplerState& state) {
  require_equal("sample count", state.count, options_.count);
  require_equal("global batch", state.global_batch, options_.global_batch);
  require_equal("seed", state.seed, options_.seed);
  require_equal("shuffle", state.shuffle ? 1 : 0, options_.shuffle ? 1 : 0);
  if (state.cursor.step >= steps_per_epoch_) {
    fail(ErrorCode::invalid_argument, "the saved sampler stands at step " + std::to_string(state.cursor.step) +
                                          " of an epoch of " + std::to_string(steps_per_epoch_) + " steps");
  }
  cursor_ = state.cursor;
}

}  // namespace trireme::data
