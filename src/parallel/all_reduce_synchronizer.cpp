// SPDX-License-Identifier: Apache-2.0
#include "parallel/all_reduce_synchronizer.hpp"

#include "parallel/leaf_fold.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <utility>

namespace trireme::parallel {
namespace {

BucketPlan planned_buckets(const SynchronizerSetup& setup) {
  return plan_buckets(setup.parameters, setup.options.first_bucket_bytes, setup.options.bucket_bytes,
                      reverse_order(setup.row_sparse));
}

/// Where backward writes is where the bucket is reduced.
bool folds_in_views(int own_leaves, std::span<std::byte> views) { return own_leaves == 1 && !views.empty(); }

std::unique_ptr<FoldMemory> make_fold_memory(const Communicator& communicator, const std::vector<Parameter>& parameters,
                                             const DataParallelOptions& options, std::size_t bytes,
                                             std::span<std::byte> given, bool alike) {
  if (parameters.front().value.device.kind == DeviceKind::cpu)
    return host_fold_memory(communicator.memory(), bytes, given);
  return device_fold_memory(communicator, bytes, given, options.stream, alike);
}

}  // namespace

AllReduceSynchronizer::AllReduceSynchronizer(SynchronizerSetup setup)
    : BucketedSynchronizer(setup, planned_buckets(setup)),
      only_leaf_(setup.leaves == 1),
      memory_bytes_(plan_.size_bytes * static_cast<std::size_t>(layout::fold_depth(setup.own_leaves))),
      memory_(make_fold_memory(communicator_, parameters_, options_, memory_bytes_,
                               folds_in_views(setup.own_leaves, setup.views) ? setup.views : std::span<std::byte>{},
                               setup.alike)),
      folded_(memory_->data()) {}

std::string AllReduceSynchronizer::explain() const {
  return "stage 0: every rank has all gradients, by all_reduce of " + std::to_string(plan_.buckets.size()) + " buckets";
}

Bytes AllReduceSynchronizer::gradient_memory() const { return Bytes{memory_bytes_}; }

TensorView AllReduceSynchronizer::gradient(std::size_t parameter) {
  if (rows_.has(parameter)) return rows_.gradient(parameter);
  if (finished_in_place(parameter) && used(parameter)) return parameters_[parameter].gradient;
  return memory_->view(place(parameter), plan_.places[parameter].count, plan_.places[parameter].dtype);
}

bool AllReduceSynchronizer::finished_in_place(std::size_t parameter) const {
  return only_leaf_ && parameters_[parameter].gradient.dtype == plan_.places[parameter].dtype;
}

void AllReduceSynchronizer::begin_buckets() {
  if (!new_order_.empty()) {
    const std::vector<std::size_t> order(new_order_.begin(), new_order_.end());
    new_order_.clear();
    use_plan(plan_buckets(parameters_, options_.first_bucket_bytes, options_.bucket_bytes, order));
  }
  next_bucket_ = 0;
}

void AllReduceSynchronizer::fold(std::size_t parameter, bool present) {
  const auto& where = plan_.places[parameter];
  const auto& source = parameters_[parameter].gradient;
  const double weight = pass_.weight();
  if (only_leaf_ && present && weight != 0.0) {
    // The whole sum: its mean is made where the gradient is, while that is in the cache.
    std::byte* mean = finished_in_place(parameter) ? static_cast<std::byte*>(source.data) : place(parameter);
    memory_->scale_divide(mean, source, weight, weight);
    return;
  }
  fold_leaf(*memory_,
            {.first = place(parameter), .level_bytes = plan_.size_bytes, .count = where.count, .dtype = where.dtype},
            pass_.folded(), present ? &source : nullptr);
}

void AllReduceSynchronizer::start_complete_buckets() {
  if (next_bucket_ < buckets_.size() && complete(next_bucket_)) {
    if (!total_.known(false, trace_) || total_.value() == 0.0) return;
    while (next_bucket_ < buckets_.size() && complete(next_bucket_)) start_bucket(next_bucket_++);
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

void AllReduceSynchronizer::start_bucket(std::size_t index) {
  if (only_leaf_) return;  // its gradients are their mean already
  const auto& bucket = plan_.buckets[index];
  const TensorView range = memory_->view(folded_ + bucket.begin_bytes, bucket.count, bucket.dtype);
  trace_start(index);
  buckets_[index].work =
      communicator_.all_reduce_async(range, range, average_over(total_.value()), call_options(buckets_[index].label));
}

void AllReduceSynchronizer::start_remaining_buckets() {
  while (next_bucket_ < buckets_.size()) start_bucket(next_bucket_++);
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

StepVotes::Buckets AllReduceSynchronizer::bucket_votes() {
  return {.wanted = wants_other_buckets(), .opposed = options_.gradients_as_bucket_views};
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

void AllReduceSynchronizer::change_buckets() {
  new_order_.assign(ready_order_.begin(), ready_order_.end());
  communicator_.broadcast(std::span<std::int32_t>(new_order_), 0,
                          {.deadline = options_.deadline, .label = "bucket order"});
}

}  // namespace trireme::parallel
