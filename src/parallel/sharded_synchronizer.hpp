// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucket_buffers.hpp"
#include "parallel/bucketed_synchronizer.hpp"
#include "parallel/fold_memory.hpp"
#include "parallel/shard_plan.hpp"
#include "parallel/shard_route.hpp"
#include "parallel/unit_plan.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trireme::parallel {

/// Gradients by reduce-scatter: after reduce() this rank has the weighted mean of the elements that it owns, with the bits of
/// AllReduceSynchronizer. Buckets go in a fixed order, each when all its gradients are there.
///
/// Leaves in blocks: a rank folds its own, then every bucket is reduced once, in the last pass. Leaves dealt out in rounds of
/// one per rank: in every pass each bucket is reduced, and who owns a part folds the rounds' sums along the tree and divides
/// once at the end; that also at stage 0, where every rank owns all.
///
/// Memory: of whole buckets, one copy (times the depth of the fold when several leaves are folded in a block). At stage 2, unless
///         leaves are folded in a block, only of buckets under way, from their first gradient to the end of their reduction: two
///         at a time, if gradients become ready bucket by bucket in the order of the plan; a third one waits for the first. A bucket that
///         stays open while others come and go (UnitPlan::open) is held beside those two, or nothing would be reduced beside backward.
///         Of owned parts (stage 2, or rounds) a copy, times the depth of the fold of rounds.
class ShardedSynchronizer final : public BucketedSynchronizer {
 public:
  /// Collective. Host memory.
  explicit ShardedSynchronizer(SynchronizerSetup setup);
  ~ShardedSynchronizer() override { end_work(); }

  /// Of the owned elements.
  TensorView gradient(std::size_t parameter) override;
  std::string explain() const override;
  Bytes gradient_memory() const override;

  /// Where backward may write the gradient of the leaf under way, in the accumulator type; from there it is read. Of a
  /// row-sparse parameter its own memory.
  /// Errors: invalid_argument outside of a leaf, for a parameter that was ready or that there is not.
  TensorView room(std::size_t parameter);

  /// The ranks that share the shards.
  const Communicator& group() const { return route_.group(); }
  const ShardPlan& shards() const { return shards_; }
  layout::Interval owned(std::size_t parameter) const;
  /// Between reduce() and the next step free for others, but for what gradient() gives at stage 1.
  BucketBuffers& buffers() { return buffers_; }
  std::size_t units() const { return units_; }
  /// At stage 3: whether the values of a unit were ever acquired. A gradient of others is refused.
  void use_acquired(std::function<bool(std::size_t unit)> was_acquired) { was_acquired_ = std::move(was_acquired); }
  std::size_t unit_of(std::size_t parameter) const { return unit_of_[parameter]; }

 private:
  ShardedSynchronizer(SynchronizerSetup setup, UnitPlan units);
  void begin_buckets() override;
  void begin_pass() override;
  void check_values(const std::string& call, std::size_t parameter) const override;
  void fold(std::size_t parameter, bool present) override;
  void start_complete_buckets() override;
  void start_remaining_buckets() override;
  void wait_for_buckets() override;

  bool in_rounds() const { return rounds_ > 1; }
  std::size_t bucket_of(std::uint64_t job) const { return static_cast<std::size_t>(job % buckets_.size()); }
  /// Memory of the whole bucket for the pass under way; waits if it has to.
  std::byte* bucket_memory(std::size_t bucket);
  bool make_room();
  TensorView bucket_view(std::size_t bucket) const;
  /// This rank's part of the bucket, at a level of the fold of rounds.
  TensorView own_part(std::size_t bucket, int level) const;
  const TensorView& source_of(std::size_t parameter);
  bool next_is_complete() const;
  bool may_start(bool wait);
  void start_job();
  /// Moves on what is under way; waits for the jobs below `until`.
  void advance(std::uint64_t until);
  void finish_job(std::uint64_t job);
  FoldedLeaf folded_round(std::uint64_t job) const {
    return folded_rounds_[static_cast<std::size_t>(job / buckets_.size())];
  }

  std::size_t held_at_once_;  ///< buckets of the pool
  std::size_t units_;
  std::vector<std::size_t> unit_of_;
  ShardRoute route_;
  ShardPlan shards_;
  bool pooled_;                  ///< whole buckets have memory only while they are under way
  bool folds_block_;             ///< several own leaves are folded before they are reduced
  std::size_t whole_bytes_ = 0;  ///< of whole buckets, kept
  std::unique_ptr<FoldMemory> memory_;
  BucketBuffers buffers_;
  bool in_place_;  ///< owned parts stay where they are reduced
  ArenaBuffer owned_memory_;
  std::size_t owned_bytes_ = 0;            ///< of one level
  std::vector<std::size_t> owned_begin_;   ///< per bucket, bytes within a level
  std::vector<FoldedLeaf> folded_rounds_;  ///< per round
  std::vector<TensorView> rooms_;          ///< per parameter, what room() gave in this pass; null: nothing

  // Of the step under way: jobs, a bucket in a round each, in the order in which they start.
  std::uint64_t started_ = 0;
  std::uint64_t across_ = 0;  ///< of those started, that are in their last step
  std::uint64_t finished_ = 0;
  std::function<bool(std::size_t unit)> was_acquired_;  ///< none below stage 3
};

}  // namespace trireme::parallel
