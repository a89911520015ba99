// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucketed_synchronizer.hpp"
#include "parallel/fold_memory.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace trireme::parallel {

/// Gradients by all-reduce. Each leaf's gradient enters the arena as f32(g * f32(weight)), folded with the leaves before
/// it along the balanced tree; in the last pass over the leaves each bucket is reduced as soon as all its gradients are
/// there, in a fixed order, and divided once by the total weight.
///
/// A bucket starts when the total weight is known, which costs nothing unless a rank is late by then. When the ranks agree
/// to fill buckets in another order, rank 0 broadcasts it behind the votes (i32).
class AllReduceSynchronizer final : public BucketedSynchronizer {
 public:
  explicit AllReduceSynchronizer(SynchronizerSetup setup);
  ~AllReduceSynchronizer() override { end_work(); }

  TensorView gradient(std::size_t parameter) override;
  std::string explain() const override;
  Bytes gradient_memory() const override;

 private:
  void begin_buckets() override;
  void fold(std::size_t parameter, bool present) override;
  void start_complete_buckets() override;
  void start_remaining_buckets() override;
  void wait_for_buckets() override;
  StepVotes::Buckets bucket_votes() override;
  void change_buckets() override;

  /// Of the fold's first copy.
  std::byte* place(std::size_t parameter) const { return folded_ + plan_.places[parameter].begin_bytes; }
  /// With one leaf in all, the mean replaces the caller's gradient: no copy, no pass over cold memory.
  bool finished_in_place(std::size_t parameter) const;
  void start_bucket(std::size_t bucket);
  bool wants_other_buckets();
  /// For the trace, buckets found done since the last look end here; without one nobody looks.
  void trace_finished_buckets();

  bool only_leaf_;  ///< there is no other leaf on any rank
  /// fold_depth copies of the gradients; none when a single leaf is folded where it is written.
  std::size_t memory_bytes_;
  std::unique_ptr<FoldMemory> memory_;
  std::byte* folded_;  ///< the first copy: what is reduced

  std::size_t next_bucket_ = 0;          // of the step under way
  std::vector<std::size_t> last_order_;  ///< of the step before
  std::vector<std::int32_t> new_order_;  ///< that the next step's buckets are filled in; empty: as they are
};

}  // namespace trireme::parallel
