// SPDX-License-Identifier: Apache-2.0
#include "parallel/all_reduce_synchronizer.hpp"

#include "trireme/base/error.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace trireme::parallel {
namespace {

std::vector<std::string> bucket_labels(const BucketPlan& plan, const std::vector<Parameter>& parameters) {
  std::vector<std::string> labels;
  for (const Bucket& bucket : plan.buckets) {
    const auto& in = bucket.parameters;
    labels.push_back("bucket " + std::to_string(labels.size()) + " " + parameters[in.front()].name);
    if (in.size() > 1) labels.back() += "..";
  }
  return labels;
}

/// Behind the counts of the parameters.
enum Vote : std::size_t { vote_to_stop_or_save, vote_for_other_buckets, vote_against_other_buckets, votes };
/// The two that programs cast share a word: ranks that want to stop count in its upper half, those that want a checkpoint in
/// the lower one.
constexpr std::int32_t one_to_save = 1, one_to_stop = 1 << 16;

std::unique_ptr<FoldMemory> make_fold_memory(const Communicator& communicator, const std::vector<Parameter>& parameters,
                                             const DataParallelOptions& options, std::size_t bytes,
                                             std::span<std::byte> given, bool alike) {
  if (parameters.front().value.device.kind == DeviceKind::cpu)
    return host_fold_memory(communicator.memory(), bytes, given);
  return device_fold_memory(communicator, bytes, given, options.stream, alike);
}

/// Whether all ranks fold as many leaves, and so in memory of one size.
bool are_alike(int leaves, int ranks) {
  const auto blocks = layout::leaf_blocks(leaves, ranks);
  return std::all_of(blocks.begin(), blocks.end(),
                     [&](const layout::LeafBlock& each) { return each.count == blocks.front().count; });
}

[[noreturn]] void misuse(const std::string& what) { fail(ErrorCode::invalid_argument, what); }

}  // namespace

AllReduceSynchronizer::AllReduceSynchronizer(Communicator communicator, std::vector<Parameter> parameters,
                                             const std::vector<bool>& row_sparse, const DataParallelOptions& options,
                                             int leaves, int own_leaves, std::span<std::byte> views)
    : communicator_(std::move(communicator)),
      parameters_(std::move(parameters)),
      options_(options),
      leaves_(leaves),
      own_leaves_(own_leaves),
      only_leaf_(leaves == 1),
      plan_(plan_buckets(parameters_, options.first_bucket_bytes, options.bucket_bytes, reverse_order(row_sparse))),
      rows_(communicator_, parameters_, row_sparse, options, leaves, own_leaves),
      folds_in_views_(own_leaves == 1 && !views.empty()),
      memory_(make_fold_memory(communicator_, parameters_, options,
                               plan_.size_bytes * static_cast<std::size_t>(layout::fold_depth(own_leaves)),
                               folds_in_views_ ? views : std::span<std::byte>{},
                               are_alike(leaves, communicator_.size()))),
      folded_(memory_->data()),
      weights_(communicator_.memory().allocate<double>(1)),
      counts_(communicator_.memory().allocate<std::int32_t>(parameters_.size() + votes)),
      buckets_(plan_.buckets.size()),
      trace_(options.trace, bucket_labels(plan_, parameters_), rows_.labels()),
      settled_(parameters_.size(), false) {
  const auto labels = bucket_labels(plan_, parameters_);
  for (std::size_t b = 0; b < buckets_.size(); ++b) buckets_[b].label = labels[b];
}

CallOptions AllReduceSynchronizer::call_options(std::string_view label) const {
  return {.deadline = options_.deadline,
          .order = options_.order,
          .stream = options_.stream,
          .label = label,
          .leaves = leaves_};
}

std::byte* AllReduceSynchronizer::place(std::size_t parameter, int level) const {
  return folded_ + plan_.size_bytes * static_cast<std::size_t>(level) + plan_.places[parameter].begin_bytes;
}

TensorView AllReduceSynchronizer::gradient(std::size_t parameter) {
  if (rows_.has(parameter)) return rows_.gradient(parameter);
  if (finished_in_place(parameter) && used(parameter)) return parameters_[parameter].gradient;
  return memory_->view(place(parameter, 0), plan_.places[parameter].count, plan_.places[parameter].dtype);
}

bool AllReduceSynchronizer::finished_in_place(std::size_t parameter) const {
  return only_leaf_ && parameters_[parameter].gradient.dtype == plan_.places[parameter].dtype;
}

void AllReduceSynchronizer::begin_step() {
  if (!new_order_.empty()) rebuild_buckets();
  ready_order_.clear();
  for (std::size_t b = 0; b < buckets_.size(); ++b) buckets_[b].missing = plan_.buckets[b].parameters.size();
  rows_.begin_step();
  std::fill(counts().begin(), counts().end(), 0);
  leaf_ = -1;
  stack_ = 0;
  next_bucket_ = 0;
  weight_sum_ = {};
  total_weight_ = 0.0;
  in_leaf_ = last_leaf_ = false;
}

void AllReduceSynchronizer::begin_leaf(double weight) {
  if (in_leaf_ || leaf_ + 1 >= own_leaves_) misuse("a shard is begun before the last one ended, or one too many");
  ++leaf_;
  in_leaf_ = true;
  last_leaf_ = leaf_ + 1 == own_leaves_;
  combines_ = layout::combines_after(own_leaves_, leaf_);
  leaf_touched_ = false;
  weight_ = weight;
  std::fill(settled_.begin(), settled_.end(), false);
}

void AllReduceSynchronizer::set_weight(double weight) {
  if (!in_leaf_) misuse("weight(): no shard is under way");
  if (leaf_touched_) misuse("weight() must come before the first ready() of its shard");
  if (!std::isfinite(weight) || weight < 0)
    misuse("weight(): " + std::to_string(weight) + " is not a finite number of at least 0");
  weight_ = weight;
}

void AllReduceSynchronizer::check_ready(const std::string& call, std::size_t parameter) const {
  if (parameter >= parameters_.size()) {
    misuse(call + ": there is no parameter " + std::to_string(parameter) + " among " +
           std::to_string(parameters_.size()));
  }
  if (!in_leaf_) misuse(call + ": no shard is under way");
  if (settled_[parameter]) misuse(call + ": '" + parameters_[parameter].name + "' was ready before in this shard");
}

void AllReduceSynchronizer::ready(std::size_t parameter) {
  check_ready("ready()", parameter);
  announce(parameter, rows_.has(parameter) ? rows_.every_row(parameter) : std::span<const std::uint32_t>{});
}

void AllReduceSynchronizer::ready_rows(std::size_t parameter, std::span<const std::uint32_t> rows) {
  check_ready("ready_rows()", parameter);
  if (!rows_.has(parameter))
    misuse("ready_rows(): '" + parameters_[parameter].name + "' is not among DataParallelOptions::row_sparse");
  rows_.check_rows(parameter, rows);
  announce(parameter, rows);
}

void AllReduceSynchronizer::announce(std::size_t parameter, std::span<const std::uint32_t> rows) {
  if (!leaf_touched_ && last_leaf_) start_weights();
  leaf_touched_ = true;
  if (weight_ != 0.0) ++counts()[parameter];
  if (rows_.has(parameter)) {
    fold_rows(parameter, rows);
  } else {
    fold(parameter, true);
    settle(parameter);
  }
  if (last_leaf_ && options_.overlap) start_complete_buckets();
}

void AllReduceSynchronizer::fold(std::size_t parameter, bool present) {
  const auto& where = plan_.places[parameter];
  const auto& source = parameters_[parameter].gradient;
  if (weight_ == 0.0 || !present) {
    // Out of the sum (weight 0): the identity. Not ready on this leaf: a zero gradient of full weight.
    std::byte* top = place(parameter, stack_);
    if (weight_ == 0.0) {
      memory_->fill_identity(top, where.dtype, where.count);
    } else {
      memory_->fill_zero(top, where.dtype, where.count);
    }
    if (combines_ > 0) memory_->add(place(parameter, stack_ - 1), top, where.dtype, where.count);
  } else if (only_leaf_) {
    // The whole sum: its mean is made where the gradient is, while that is in the cache.
    std::byte* mean = finished_in_place(parameter) ? static_cast<std::byte*>(source.data) : place(parameter, 0);
    memory_->scale_divide(mean, source, weight_, weight_);
  } else if (combines_ == 0) {
    memory_->scale(place(parameter, stack_), source, weight_);
  } else {
    memory_->scale_add(place(parameter, stack_ - 1), source, weight_);
  }
  for (int k = 1; k < combines_; ++k) {
    memory_->add(place(parameter, stack_ - 1 - k), place(parameter, stack_ - k), where.dtype, where.count);
  }
}

void AllReduceSynchronizer::fold_rows(std::size_t parameter, std::span<const std::uint32_t> rows) {
  rows_.fold(parameter, {.weight = weight_, .below = stack_, .combines = combines_}, rows);
  settled_[parameter] = true;
}

void AllReduceSynchronizer::settle(std::size_t parameter) {
  settled_[parameter] = true;
  if (!last_leaf_) return;
  ready_order_.push_back(parameter);
  const std::size_t bucket = plan_.places[parameter].bucket;
  if (--buckets_[bucket].missing == 0) trace_.bucket_ready(bucket);
}

void AllReduceSynchronizer::end_leaf() {
  if (!in_leaf_) misuse("a shard ends that was not begun");
  if (!leaf_touched_ && last_leaf_) start_weights();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (settled_[p]) continue;
    if (rows_.has(p)) {
      fold_rows(p, {});
      continue;
    }
    fold(p, false);
    settle(p);
  }
  if (!last_leaf_) weight_sum_.add(weight_);
  stack_ += 1 - combines_;
  in_leaf_ = false;
  if (last_leaf_ && options_.overlap) start_complete_buckets();
}

void AllReduceSynchronizer::start_weights() {
  weight_sum_.add(weight_);  // the last leaf's weight can change no more
  weights_.as<double>()[0] = weight_sum_.result();
  weights_known_ = false;
  weights_started_ = trace_.now();
  weights_work_ = communicator_.all_reduce_async(weights_.as<double>(), sum, call_options("total weight"));
}

bool AllReduceSynchronizer::weights_known(bool wait) {
  if (weights_known_) return true;
  if (!wait && !weights_work_.done()) return false;
  weights_work_.wait();
  weights_known_ = true;
  trace_.weights_reduced(weights_started_);
  total_weight_ = weights_.as<double>()[0];
  return true;
}

void AllReduceSynchronizer::start_complete_buckets() {
  if (next_bucket_ < buckets_.size() && buckets_[next_bucket_].missing == 0) {
    if (!weights_known(false) || total_weight_ == 0.0) return;
    while (next_bucket_ < buckets_.size() && buckets_[next_bucket_].missing == 0) start_bucket(next_bucket_++);
  }
  communicator_.progress();
  trace_finished_buckets();
}

void AllReduceSynchronizer::trace_finished_buckets() {
  if (!trace_.on()) return;
  for (std::size_t b = 0; b < next_bucket_; ++b) {
    if (!buckets_[b].traced_end && buckets_[b].work.done()) trace_end(b);
  }
}

void AllReduceSynchronizer::trace_end(std::size_t bucket) {
  if (!std::exchange(buckets_[bucket].traced_end, true)) trace_.bucket_reduced(bucket, buckets_[bucket].started);
}

void AllReduceSynchronizer::start_bucket(std::size_t index) {
  if (only_leaf_) return;  // its gradients are their mean already
  const auto& bucket = plan_.buckets[index];
  const TensorView range = memory_->view(folded_ + bucket.begin_bytes, bucket.count, bucket.dtype);
  buckets_[index].started = trace_.now();
  buckets_[index].traced_end = false;
  buckets_[index].work =
      communicator_.all_reduce_async(range, range, average_over(total_weight_), call_options(buckets_[index].label));
}

void AllReduceSynchronizer::wait_for_buckets() {
  const std::size_t started = only_leaf_ ? 0 : next_bucket_;
  for (std::size_t b = 0; b < started; ++b) {
    {
      const auto span = trace_.waits_for_bucket(b);
      buckets_[b].work.wait();
    }
    trace_end(b);
    trace_finished_buckets();
  }
}

/// Rank 0 alone says so: where ranks differ, one order must do for all.
bool AllReduceSynchronizer::wants_other_buckets() {
  if (!options_.rebuild_buckets || !options_.overlap || only_leaf_ || communicator_.rank() != 0) return false;
  const bool settled = ready_order_ == last_order_;
  last_order_ = ready_order_;
  if (!settled) return false;
  const BucketPlan other = plan_buckets(parameters_, options_.first_bucket_bytes, options_.bucket_bytes, ready_order_);
  return !std::equal(other.buckets.begin(), other.buckets.end(), plan_.buckets.begin(), plan_.buckets.end(),
                     [](const Bucket& a, const Bucket& b) { return a.parameters == b.parameters; });
}

void AllReduceSynchronizer::hear_order() {
  new_order_.assign(ready_order_.begin(), ready_order_.end());
  communicator_.broadcast(std::span<std::int32_t>(new_order_), 0,
                          {.deadline = options_.deadline, .label = "bucket order"});
}

void AllReduceSynchronizer::rebuild_buckets() {
  const std::vector<std::size_t> order(new_order_.begin(), new_order_.end());
  new_order_.clear();
  plan_ = plan_buckets(parameters_, options_.first_bucket_bytes, options_.bucket_bytes, order);
  buckets_ = std::vector<BucketState>(plan_.buckets.size());
  const auto labels = bucket_labels(plan_, parameters_);
  for (std::size_t b = 0; b < buckets_.size(); ++b) buckets_[b].label = labels[b];
  trace_ = StepTrace(options_.trace, labels, rows_.labels());
}

StepOutcome AllReduceSynchronizer::reduce() {
  if (in_leaf_ || leaf_ + 1 != own_leaves_)
    misuse("reduce(): " + std::to_string(own_leaves_ - leaf_ - 1 + in_leaf_) + " shards have not been passed");
  {
    const auto span = trace_.waits_for_weights();
    weights_known(true);
  }
  if (total_weight_ != 0.0) {
    while (next_bucket_ < buckets_.size()) start_bucket(next_bucket_++);
    rows_.start(total_weight_, trace_);
  }
  const auto vote = [&](Vote which) -> std::int32_t& { return counts()[parameters_.size() + which]; };
  vote(vote_to_stop_or_save) = (stop_requested_ ? one_to_stop : 0) + (checkpoint_requested_ ? one_to_save : 0);
  vote(vote_for_other_buckets) = wants_other_buckets() ? 1 : 0;
  vote(vote_against_other_buckets) = options_.gradients_as_bucket_views ? 1 : 0;
  const auto counts_started = trace_.now();
  Work counts_work = communicator_.all_reduce_async(counts(), sum, call_options("ready counts"));
  wait_for_buckets();
  rows_.wait(trace_);
  {
    const auto span = trace_.waits_for_counts();
    counts_work.wait();
  }
  trace_.counts_reduced(counts_started);
  if (vote(vote_for_other_buckets) != 0 && vote(vote_against_other_buckets) == 0) hear_order();
  const auto heard = static_cast<std::uint32_t>(vote(vote_to_stop_or_save));  // 32768 ranks may all want to stop
  checkpoint_heard_ = heard % one_to_stop != 0;
  checkpoint_requested_ = false;
  if (heard < one_to_stop) return StepOutcome::ready;
  stop_requested_ = false;  // heard by all: a later loop is a new one
  return StepOutcome::stop;
}

}  // namespace trireme::parallel
