// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucket_plan.hpp"
#include "parallel/leaf_pass.hpp"
#include "parallel/row_reduction.hpp"
#include "parallel/step_trace.hpp"
#include "parallel/step_votes.hpp"
#include "parallel/total_weight.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/parallel/gradient_synchronizer.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::parallel {

/// What a synchronizer among ranks is made of.
struct SynchronizerSetup {
  Communicator communicator;
  std::vector<Parameter> parameters;  ///< all in host memory or all on the communicator's device
  std::vector<bool> row_sparse;       ///< a flag per parameter
  DataParallelOptions options;
  int leaves = 1;
  int own_leaves = 1;
  bool alike = true;  ///< all ranks fold as many leaves, and so in memory of one size
  int rounds = 1;     ///< in which the leaves are reduced: own_leaves when they are dealt out in turn; else 1
  /// Where the gradients that are not row-sparse lie, if that is as place_gradients() lays them out; else empty. Must outlive
  /// the synchronizer.
  std::span<std::byte> views{};
};

/// What the synchronizers by buckets have in common: leaves in order, weights, row-sparse parameters, votes, and the
/// announcements that make a bucket complete. How a gradient enters its bucket, and how buckets are reduced, is theirs.
///
/// Per step, on all ranks in this order: the sum of the weights (f64, one per round), in the last pass over the leaves; the
/// buckets; row-sparse parameters, which are in none (see RowReduction); the votes (see StepVotes).
class BucketedSynchronizer : public GradientSynchronizer {
 public:
  void begin_step() final;
  void begin_leaf(double weight) final;
  void set_weight(double weight) final { pass_.set_weight(weight); }
  void ready(std::size_t parameter) final;
  void ready_rows(std::size_t parameter, std::span<const std::uint32_t> rows) final;
  void end_leaf() final;
  StepOutcome reduce() final;
  bool used(std::size_t parameter) const final { return votes_.used(parameter); }
  bool checkpoint_requested() const final { return votes_.checkpoint_requested(); }
  double total_weight() const final { return total_.value(); }

  void request_stop() { votes_.request_stop(); }
  void request_checkpoint() { votes_.request_checkpoint(); }
  /// What was asked of `before`, whose place this takes, is asked of this.
  void take_requests(const BucketedSynchronizer& before) { votes_.take_requests(before.votes_); }
  /// Rows of a row-sparse parameter's mean that may be other than 0; none: all may, or it is not row-sparse. After reduce().
  std::optional<std::span<const std::uint32_t>> touched_rows(std::size_t parameter) const {
    if (!rows_.has(parameter)) return std::nullopt;
    return rows_.touched_rows(parameter);
  }
  const BucketPlan& plan() const { return plan_; }
  const StepTrace& trace() const { return trace_; }
  /// How gradients travel, in a sentence.
  virtual std::string explain() const = 0;
  /// Arena or device memory that gradients take now, caller's memory and row-sparse parameters apart.
  virtual Bytes gradient_memory() const = 0;

 protected:
  BucketedSynchronizer(SynchronizerSetup setup, BucketPlan plan);

  /// Waits for what is under way: before the memory goes in which it works.
  void end_work() {
    for (BucketState& bucket : buckets_) bucket.work = {};
  }
  virtual void begin_buckets() {}
  virtual void begin_pass() {}
  /// Errors: invalid_argument where a gradient cannot be of the values that the parameter has.
  virtual void check_values(const std::string& /*call*/, std::size_t /*parameter*/) const {}
  /// Of a parameter in a bucket; `present`: the caller has written it.
  virtual void fold(std::size_t parameter, bool present) = 0;
  /// Starts, in order, the complete buckets that can start now, and moves on what is under way, without waiting.
  virtual void start_complete_buckets() = 0;
  /// The total weight is known, and not 0.
  virtual void start_remaining_buckets() = 0;
  virtual void wait_for_buckets() = 0;
  /// Row-sparse parameters: the same two moments, behind the buckets.
  virtual void start_rows() { rows_.start(total_.value(), trace_); }
  virtual void wait_for_rows() { rows_.wait(trace_); }
  virtual StepVotes::Buckets bucket_votes() { return {}; }
  virtual void change_buckets() {}

  struct BucketState {
    std::size_t missing = 0;  ///< gradients of the leaf
    Work work;
    std::string label;
    StepTrace::Moment started{};
    bool traced_end = true;  ///< the trace has its end, or there is nothing to end
  };
  void use_plan(BucketPlan plan);
  void trace_start(std::size_t bucket);
  void trace_end(std::size_t bucket);
  /// Whether every gradient of the leaf under way is in the bucket.
  bool complete(std::size_t bucket) const { return buckets_[bucket].missing == 0; }
  CallOptions call_options(std::string_view label) const;

  Communicator communicator_;
  std::vector<Parameter> parameters_;
  DataParallelOptions options_;
  int leaves_;
  int own_leaves_;
  int rounds_;
  BucketPlan plan_;
  RowReduction rows_;
  LeafPass pass_;
  TotalWeight total_;
  StepVotes votes_;
  std::vector<BucketState> buckets_;
  StepTrace trace_;
  std::vector<std::size_t> ready_order_;  ///< of the last leaf, of the step under way

 private:
  /// Whether the buckets of this pass are reduced.
  bool reduces() const { return rounds_ > 1 || pass_.last(); }
  void check_ready(const std::string& call, std::size_t parameter) const;
  /// `rows` of a row-sparse parameter.
  void announce(std::size_t parameter, std::span<const std::uint32_t> rows);
  void fold_rows(std::size_t parameter, std::span<const std::uint32_t> rows);
  void settle(std::size_t parameter);
  void start_weights();
};

}  // namespace trireme::parallel
