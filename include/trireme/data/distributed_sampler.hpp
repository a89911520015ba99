// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace trireme::data {

/// What a sampler is made of.
struct SamplerOptions {
  std::size_t count = 0;         ///< samples of the data set, 1 to 2^32 - 1
  std::size_t global_batch = 0;  ///< samples per step over all ranks, at least 1
  std::uint64_t seed = 0;
  bool shuffle = true;  ///< false: every epoch is 0, 1, 2, …
  /// Sample i of `count` is number first + i * stride of the data: a share of it, of one of `stride` workers that train without a word.
  std::uint32_t first = 0;
  std::uint32_t stride = 1;
};

/// The share `part` of `parts` of `count` samples: how many, first and stride.
/// Errors: invalid_argument when it would be empty.
SamplerOptions share_of(std::size_t count, std::uint32_t part, std::uint32_t parts);

/// Where training stands: the step that comes next.
struct SamplerCursor {
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;  ///< within the epoch, below steps_per_epoch()
  friend constexpr bool operator==(SamplerCursor, SamplerCursor) = default;
};

/// What a checkpoint keeps of a sampler: plain numbers.
struct SamplerState {
  std::uint64_t count = 0;
  std::uint64_t global_batch = 0;
  std::uint64_t seed = 0;
  bool shuffle = true;
  SamplerCursor cursor;
};

/// Which samples form which batch, the same on every rank: batch s of epoch e is positions sB to min((s+1)B, N)-1 of a
/// permutation of N samples that depends only on (seed, epoch). It knows nothing of ranks, so a world may change its
/// size at any step; a rank takes the leaves it owns.
/// The permutation is a Fisher-Yates shuffle (i from N-1 down to 1, swap with a uniform j <= i) whose j are
/// PhiloxStream(stream_key(seed, epoch)).below(i + 1): integers only, so the same on every platform.
/// Shape:   the last batch of an epoch may be short and is kept.
/// Cost:    8 bytes of memory per sample; one shuffle per epoch (0.4 ms for 60000 samples), then none. No heap after
///          construction.
/// Threads: one at a time.
class DistributedSampler {
 public:
  /// Errors: invalid_argument when count or global_batch is out of range.
  explicit DistributedSampler(const SamplerOptions& options);

  const SamplerOptions& options() const { return options_; }
  std::uint64_t steps_per_epoch() const { return steps_per_epoch_; }

  /// Indices of the samples of one global batch. Valid until batches of two other epochs have been asked for, so a
  /// prefetch over the end of an epoch does not disturb the batch in hand.
  /// Errors: invalid_argument when step is not below steps_per_epoch().
  std::span<const std::uint32_t> batch(std::uint64_t epoch, std::uint64_t step);
  /// The batch at the cursor.
  std::span<const std::uint32_t> batch() { return batch(cursor_.epoch, cursor_.step); }

  /// The part of `batch`, of b samples, that leaf `leaf` of `leaves` holds: positions floor(leaf b / leaves) to
  /// floor((leaf+1) b / leaves)-1; empty for some leaves when b < leaves.
  /// Errors: invalid_argument unless 0 <= leaf < leaves.
  static std::span<const std::uint32_t> leaf(std::span<const std::uint32_t> batch, int leaves, int leaf);

  SamplerCursor cursor() const { return cursor_; }
  /// The cursor that follows `cursor`: the next step, or the first of the next epoch.
  SamplerCursor next(SamplerCursor cursor) const;
  void advance() { cursor_ = next(cursor_); }

  SamplerState state() const;
  /// Continues where `state` was taken.
  /// Errors: invalid_argument naming the difference when it belongs to other data, another global batch, seed or
  ///         shuffle, or when its step is not below steps_per_epoch().
  void restore(const SamplerState& state);

 private:
  struct Permutation {
    std::optional<std::uint64_t> epoch;
    std::vector<std::uint32_t> order;
  };
  std::span<const std::uint32_t> permutation(std::uint64_t epoch);
  void list(std::vector<std::uint32_t>& order) const;

  SamplerOptions options_;
  std::uint64_t steps_per_epoch_ = 0;
  SamplerCursor cursor_;
  std::array<Permutation, 2> cache_;
  std::size_t latest_ = 0;  ///< which of cache_ was used last
};

}  // namespace trireme::data
