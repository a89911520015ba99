// SPDX-License-Identifier: Apache-2.0
#include "parallel/sharded_synchronizer.hpp"

#include "parallel/leaf_fold.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trireme::parallel {
namespace {

UnitPlan planned_units(const SynchronizerSetup& setup) {
  const DataParallelOptions& options = setup.options;
  return plan_units(setup.parameters, options.zero_stage >= 2 ? options.units : std::vector<std::vector<std::string>>{},
                    options.first_bucket_bytes, options.bucket_bytes, reverse_order(setup.row_sparse));
}

/// Ranks that share the shards.
int group_size_of(const DataParallelOptions& options, int ranks) {
  if (options.zero_stage == 0) return 1;
  return options.shard_group == 0 ? ranks : options.shard_group;
}

}  // namespace

ShardedSynchronizer::ShardedSynchronizer(SynchronizerSetup setup) : ShardedSynchronizer(setup, planned_units(setup)) {}

ShardedSynchronizer::ShardedSynchronizer(SynchronizerSetup setup, UnitPlan units)
    : BucketedSynchronizer(setup, std::move(units.buckets)),
      held_at_once_(units.buffers()),
      units_(units.units),
      unit_of_(std::move(units.unit_of)),
      route_(communicator_, group_size_of(options_, communicator_.size()),
             in_rounds() ? communicator_.size() : leaves_),
      shards_(plan_, route_.group().size(), options_.zero_whole_tensors),
      pooled_(options_.zero_stage >= 2 && (in_rounds() || own_leaves_ == 1)),
      folds_block_(!in_rounds() && own_leaves_ > 1),
      whole_bytes_(pooled_ ? 0
                           : plan_.size_bytes *
                                 static_cast<std::size_t>(folds_block_ ? layout::fold_depth(own_leaves_) : 1)),
      memory_(host_fold_memory(communicator_.memory(), whole_bytes_,
                               own_leaves_ == 1 ? setup.views : std::span<std::byte>{})),
      buffers_(pooled_ ? BucketBuffers(plan_, communicator_.memory()) : BucketBuffers(plan_, memory_->data())),
      in_place_(!pooled_ && !in_rounds()),
      rooms_(parameters_.size()) {
  for (int round = 0, below = 0; round < rounds_; ++round) {
    folded_rounds_.push_back({.weight = 1.0, .below = below, .combines = layout::combines_after(rounds_, round)});
    below += 1 - folded_rounds_.back().combines;
  }
  if (in_place_) return;
  for (std::size_t b = 0; b < plan_.buckets.size(); ++b) {
    owned_begin_.push_back(owned_bytes_);
    const std::size_t bytes = shards_.range(b, group().rank()).size() * size_of(plan_.buckets[b].dtype);
    owned_bytes_ += (bytes + 63) / 64 * 64;
  }
  owned_memory_ =
      communicator_.memory().allocate(Bytes{owned_bytes_ * static_cast<std::size_t>(layout::fold_depth(rounds_))});
}

std::string ShardedSynchronizer::explain() const {
  std::string text = "stage " + std::to_string(options_.zero_stage) + ": " + route_.explain() + ", of " +
                     std::to_string(plan_.buckets.size()) + " buckets";
  if (in_rounds()) text += " in each of " + std::to_string(rounds_) + " rounds";
  if (options_.zero_stage >= 2 && !pooled_) {
    text += "; whole gradients are folded, " + std::to_string(own_leaves_) +
            " leaves of a block on this rank: leaf_assignment cyclic would need no memory for them";
  }
  return text;
}

Bytes ShardedSynchronizer::gradient_memory() const {
  return Bytes{whole_bytes_ + buffers_.pool_bytes().value + owned_memory_.bytes().size()};
}

layout::Interval ShardedSynchronizer::owned(std::size_t parameter) const {
  if (rows_.has(parameter)) return {0, parameters_[parameter].value.count};
  return shards_.owned(parameter, group().rank());
}

TensorView ShardedSynchronizer::gradient(std::size_t parameter) {
  if (rows_.has(parameter)) return rows_.gradient(parameter);
  const GradientPlace& place = plan_.places[parameter];
  const layout::Interval elements = owned(parameter);
  const TensorView part = own_part(place.bucket, 0);
  if (elements.size() == 0) return {part.data, 0, place.dtype};
  const std::size_t begin = (place.begin_bytes - plan_.buckets[place.bucket].begin_bytes) / size_of(place.dtype) +
                            elements.begin - shards_.range(place.bucket, group().rank()).begin;
  return {static_cast<std::byte*>(part.data) + begin * size_of(place.dtype), elements.size(), place.dtype};
}

TensorView ShardedSynchronizer::bucket_view(std::size_t bucket) const {
  return {buffers_.at(bucket), plan_.buckets[bucket].count, plan_.buckets[bucket].dtype};
}

TensorView ShardedSynchronizer::own_part(std::size_t bucket, int level) const {
  const layout::Interval range = shards_.range(bucket, group().rank());
  const DType dtype = plan_.buckets[bucket].dtype;
  std::byte* const data =
      in_place_ ? buffers_.at(bucket) + range.begin * size_of(dtype)
                : owned_memory_.bytes().data() + owned_bytes_ * static_cast<std::size_t>(level) + owned_begin_[bucket];
  return {data, range.size(), dtype};
}

void ShardedSynchronizer::begin_buckets() { started_ = across_ = finished_ = 0; }

void ShardedSynchronizer::begin_pass() { std::fill(rooms_.begin(), rooms_.end(), TensorView{}); }

std::byte* ShardedSynchronizer::bucket_memory(std::size_t bucket) {
  if (in_rounds() && pass_.index() > 0) {
    const auto before = (static_cast<std::uint64_t>(pass_.index()) - 1) * buckets_.size() + bucket + 1;
    if (finished_ < before) advance(before);
  }
  if (buffers_.at(bucket) != nullptr) return buffers_.at(bucket);
  while (buffers_.held() >= held_at_once_ && make_room()) {
  }
  return buffers_.acquire(bucket);
}

/// Waits until a bucket of the pool is free; false: none can become so before more gradients are ready.
bool ShardedSynchronizer::make_room() {
  const std::uint64_t before = finished_;
  if (options_.overlap) {
    if (next_is_complete()) may_start(true);
    start_complete_buckets();
  }
  if (finished_ != before) return true;  // one has become free meanwhile: the next one need not be waited for
  if (finished_ == started_) return false;
  advance(finished_ + 1);
  return true;
}

TensorView ShardedSynchronizer::room(std::size_t parameter) {
  const std::string call = "gradient()";
  if (parameter >= parameters_.size()) {
    fail(ErrorCode::invalid_argument, call + ": there is no parameter " + std::to_string(parameter) + " among " +
                                          std::to_string(parameters_.size()));
  }
  const std::string& name = parameters_[parameter].name;
  pass_.check_in_leaf(call);
  if (pass_.settled(parameter))
    fail(ErrorCode::invalid_argument, call + ": '" + name + "' was ready before in this shard");
  if (rows_.has(parameter)) return parameters_[parameter].gradient;
  TensorView& room = rooms_[parameter];
  if (room.data == nullptr) {
    const GradientPlace& place = plan_.places[parameter];
    std::byte* const bucket = bucket_memory(place.bucket);
    const std::size_t level = folds_block_ ? plan_.size_bytes * static_cast<std::size_t>(pass_.folded().below) : 0;
    room = {bucket + level + (place.begin_bytes - plan_.buckets[place.bucket].begin_bytes), place.count, place.dtype};
  }
  return room;
}

const TensorView& ShardedSynchronizer::source_of(std::size_t parameter) {
  const TensorView& gradient = rooms_[parameter].data != nullptr ? rooms_[parameter] : parameters_[parameter].gradient;
  if (gradient.data == nullptr && gradient.count != 0) {
    fail(ErrorCode::invalid_argument,
         "ready(): '" + parameters_[parameter].name +
             "' has no gradient: write to DataParallel::access().gradient() of this shard");
  }
  return gradient;
}

void ShardedSynchronizer::check_values(const std::string& call, std::size_t parameter) const {
  if (!was_acquired_ || rows_.has(parameter) || was_acquired_(unit_of_[parameter])) return;
  fail(ErrorCode::invalid_argument,
       call + ": '" + parameters_[parameter].name +
           "' has a gradient, and nobody has acquired its values: at zero_stage 3 a model computes with what "
           "DataParallel::access() acquires (use_access() of ours), no longer with the values it was made with");
}

void ShardedSynchronizer::fold(std::size_t parameter, bool present) {
  const GradientPlace& where = plan_.places[parameter];
  const TensorView* const source = present && pass_.weight() != 0.0 ? &source_of(parameter) : nullptr;
  std::byte* const bucket = bucket_memory(where.bucket);
  const FoldedLeaf leaf = folds_block_ ? pass_.folded() : FoldedLeaf{.weight = pass_.weight()};
  fold_leaf(*memory_,
            {.first = bucket + (where.begin_bytes - plan_.buckets[where.bucket].begin_bytes),
             .level_bytes = plan_.size_bytes,
             .count = where.count,
             .dtype = where.dtype},
            leaf, source);
}

bool ShardedSynchronizer::next_is_complete() const {
  const std::uint64_t passes = in_rounds() ? static_cast<std::uint64_t>(pass_.index()) + 1 : 1;
  return started_ < passes * buckets_.size() && complete(bucket_of(started_));
}

/// Sums of rounds need no weight; what is reduced once is divided by the total at once.
bool ShardedSynchronizer::may_start(bool wait) { return in_rounds() || total_.known(wait, trace_); }

void ShardedSynchronizer::start_complete_buckets() {
  while (next_is_complete() && may_start(false)) start_job();
  communicator_.progress();
  advance(0);
}

void ShardedSynchronizer::start_job() {
  const std::size_t b = bucket_of(started_);
  BucketState& bucket = buckets_[b];
  if (in_rounds() || total_.value() != 0.0) {
    trace_start(b);
    const bool divides = !in_rounds() && !route_.two_steps();
    bucket.work = route_.reduce(bucket_view(b), own_part(b, folded_round(started_).below), shards_.counts(b),
                                divides ? average_over(total_.value()) : sum, call_options(bucket.label));
  }
  ++started_;
}

void ShardedSynchronizer::advance(std::uint64_t until) {
  const bool empty = !in_rounds() && total_.value() == 0.0;  // nothing travels
  for (; across_ < started_; ++across_) {
    if (!route_.two_steps() || empty) continue;
    const std::size_t b = bucket_of(across_);
    BucketState& bucket = buckets_[b];
    if (across_ >= until && !bucket.work.done()) break;
    bucket.work.wait();
    bucket.work = route_.across(own_part(b, folded_round(across_).below),
                                in_rounds() ? sum : average_over(total_.value()), call_options(bucket.label));
  }
  for (; finished_ < across_; ++finished_) {
    const bool divides = in_rounds() && finished_ / buckets_.size() + 1 == static_cast<std::uint64_t>(rounds_);
    const bool waits = finished_ < until;
    if (!waits && !empty && !buckets_[bucket_of(finished_)].work.done()) break;
    if (divides && !total_.known(waits, trace_)) break;
    finish_job(finished_);
  }
}

void ShardedSynchronizer::finish_job(std::uint64_t job) {
  const std::size_t b = bucket_of(job);
  if (in_rounds() || total_.value() != 0.0) {
    buckets_[b].work.wait();
    trace_end(b);
    const FoldedLeaf round = folded_round(job);
    const TensorView part = own_part(b, round.below);
    if (route_.in_bucket() && !in_place_ && part.count != 0) {
      const auto* const whole = static_cast<const std::byte*>(bucket_view(b).data);
      const std::size_t begin = shards_.range(b, group().rank()).begin;
      std::memcpy(part.data, whole + begin * size_of(part.dtype), part.size_bytes());
    }
    for (int k = 0; k < round.combines; ++k) {
      memory_->add(static_cast<std::byte*>(own_part(b, round.below - 1 - k).data),
                   static_cast<const std::byte*>(own_part(b, round.below - k).data), part.dtype, part.count);
    }
    const bool last = job / buckets_.size() + 1 == static_cast<std::uint64_t>(rounds_);
    if (in_rounds() && last && total_.value() != 0.0) {
      const TensorView mean = own_part(b, 0);
      memory_->scale_divide(static_cast<std::byte*>(mean.data), mean, 1.0, total_.value());
    }
  }
  buffers_.release(b);
}

void ShardedSynchronizer::start_remaining_buckets() {
  const std::uint64_t end = buckets_.size() * static_cast<std::uint64_t>(rounds_);
  while (started_ < end) start_job();
}

void ShardedSynchronizer::wait_for_buckets() {
  while (finished_ < started_) {
    const auto span = trace_.waits_for_bucket(bucket_of(finished_));
    advance(finished_ + 1);
  }
  for (std::size_t b = 0; b < buckets_.size(); ++b) buffers_.release(b);  // of a step without weight
}

}  // namespace trireme::parallel
