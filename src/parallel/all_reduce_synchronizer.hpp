// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/norm/norm.hpp"
#include "parallel/bucket_plan.hpp"
#include "parallel/fold_memory.hpp"
#include "parallel/row_reduction.hpp"
#include "parallel/step_trace.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/parallel/gradient_synchronizer.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace trireme::parallel {

/// Gradients by all-reduce. Each leaf's gradient enters the arena as f32(g * f32(weight)), folded with the leaves before
/// it along the balanced tree; in the last pass over the leaves each bucket is reduced as soon as all its gradients are
/// there, in a fixed order, and divided once by the total weight.
///
/// Per step, on all ranks in this order: the sum of the weights (one f64); the buckets; row-sparse parameters, which are in
/// none (see RowReduction); how often each parameter was
/// ready, whether to stop or to save, and whether buckets are to be filled in another order (i32), which rank 0 then broadcasts. A
/// bucket starts when the total weight is known, which costs nothing unless a rank is late by then.
class AllReduceSynchronizer final : public GradientSynchronizer {
 public:
  /// Parameters are all in host memory or all on the communicator's device. `row_sparse`: a flag per parameter. `views`: where the gradients of the others lie, if that is as place_gradients()
  /// lays them out; else empty. Must outlive this.
  AllReduceSynchronizer(Communicator communicator, std::vector<Parameter> parameters,
                        const std::vector<bool>& row_sparse, const DataParallelOptions& options, int leaves,
                        int own_leaves, std::span<std::byte> views);

  void begin_step() override;
  void begin_leaf(double weight) override;
  void set_weight(double weight) override;
  void ready(std::size_t parameter) override;
  void ready_rows(std::size_t parameter, std::span<const std::uint32_t> rows) override;
  void end_leaf() override;
  StepOutcome reduce() override;
  TensorView gradient(std::size_t parameter) override;
  bool used(std::size_t parameter) const override { return counts()[parameter] != 0; }
  bool checkpoint_requested() const override { return checkpoint_heard_; }
  double total_weight() const override { return total_weight_; }

  void request_stop() { stop_requested_ = true; }
  void request_checkpoint() { checkpoint_requested_ = true; }
  const BucketPlan& plan() const { return plan_; }
  const StepTrace& trace() const { return trace_; }

 private:
  struct BucketState {
    std::size_t missing = 0;  ///< gradients of the last leaf
    Work work;
    std::string label;
    StepTrace::Moment started{};
    bool traced_end = true;  ///< the trace has its end, or there is nothing to end
  };
  std::span<std::int32_t> counts() const { return counts_.as<std::int32_t>(); }
  /// Of the fold's copy `level`.
  std::byte* place(std::size_t parameter, int level) const;
  /// With one leaf in all, the mean replaces the caller's gradient: no copy, no pass over cold memory.
  bool finished_in_place(std::size_t parameter) const;
  void check_ready(const std::string& call, std::size_t parameter) const;
  /// `rows` of a row-sparse parameter.
  void announce(std::size_t parameter, std::span<const std::uint32_t> rows);
  void fold(std::size_t parameter, bool present);
  void fold_rows(std::size_t parameter, std::span<const std::uint32_t> rows);
  void settle(std::size_t parameter);
  void start_weights();
  bool weights_known(bool wait);
  void start_complete_buckets();
  void start_bucket(std::size_t bucket);
  void wait_for_buckets();
  bool wants_other_buckets();
  void hear_order();
  void rebuild_buckets();
  /// For the trace, buckets found done since the last look end here; without one nobody looks.
  void trace_finished_buckets();
  void trace_end(std::size_t bucket);
  CallOptions call_options(std::string_view label) const;

  Communicator communicator_;
  std::vector<Parameter> parameters_;
  DataParallelOptions options_;
  int leaves_;
  int own_leaves_;
  bool only_leaf_;  ///< there is no other leaf on any rank
  BucketPlan plan_;
  RowReduction rows_;
  /// fold_depth copies of the gradients; none when a single leaf is folded where it is written.
  bool folds_in_views_;  ///< backward writes where the bucket is reduced
  std::unique_ptr<FoldMemory> memory_;
  std::byte* folded_;  ///< the first copy: what is reduced
  ArenaBuffer weights_;
  ArenaBuffer counts_;  ///< per parameter, then the votes
  std::vector<BucketState> buckets_;
  StepTrace trace_;

  // Of the step under way.
  int leaf_ = -1;     ///< index among own leaves
  int stack_ = 0;     ///< partial sums that wait on the fold's stack, before this leaf
  int combines_ = 0;  ///< how many of them this leaf completes
  bool in_leaf_ = false;
  bool last_leaf_ = false;
  bool leaf_touched_ = false;
  double weight_ = 0.0;
  kernels::TreeSum weight_sum_;
  std::vector<bool> settled_;  ///< this leaf's gradient is in the arena
  std::size_t next_bucket_ = 0;
  Work weights_work_;
  StepTrace::Moment weights_started_{};
  bool weights_known_ = false;
  double total_weight_ = 0.0;
  bool stop_requested_ = false;
  bool checkpoint_requested_ = false;
  bool checkpoint_heard_ = false;

  std::vector<std::size_t> ready_order_;  ///< of the last leaf, of the step under way
  std::vector<std::size_t> last_order_;   ///< of the step before
  std::vector<std::int32_t> new_order_;   ///< that the next step's buckets are filled in; empty: as they are
};

}  // namespace trireme::parallel
