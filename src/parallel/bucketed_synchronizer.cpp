// SPDX-License-Identifier: Apache-2.0
#include "parallel/bucketed_synchronizer.hpp"

#include "trireme/base/error.hpp"

#include <utility>

namespace trireme::parallel {
namespace {

[[noreturn]] void misuse(const std::string& what) { fail(ErrorCode::invalid_argument, what); }

}  // namespace

BucketedSynchronizer::BucketedSynchronizer(SynchronizerSetup setup, BucketPlan plan)
    : communicator_(std::move(setup.communicator)),
      parameters_(std::move(setup.parameters)),
      options_(std::move(setup.options)),
      leaves_(setup.leaves),
      own_leaves_(setup.own_leaves),
      rounds_(setup.rounds),
      rows_(communicator_, parameters_, setup.row_sparse, options_, setup.leaves, setup.own_leaves),
      pass_(parameters_.size(), setup.own_leaves),
      total_(communicator_, setup.rounds),
      votes_(communicator_, parameters_.size()),
      trace_(nullptr, {}, {}) {
  use_plan(std::move(plan));
}

void BucketedSynchronizer::use_plan(BucketPlan plan) {
  plan_ = std::move(plan);
  const auto labels = bucket_labels(plan_, parameters_);
  buckets_ = std::vector<BucketState>(plan_.buckets.size());
  for (std::size_t b = 0; b < buckets_.size(); ++b) buckets_[b].label = labels[b];
  trace_ = StepTrace(options_.trace, labels, rows_.labels());
}

CallOptions BucketedSynchronizer::call_options(std::string_view label) const {
  return {.deadline = options_.deadline,
          .order = options_.order,
          .stream = options_.stream,
          .label = label,
          .leaves = rounds_ > 1 ? communicator_.size() : leaves_};
}

void BucketedSynchronizer::begin_step() {
  begin_buckets();
  ready_order_.clear();
  rows_.begin_step();
  votes_.begin_step();
  pass_.begin_step();
  total_.begin_step();
}

void BucketedSynchronizer::begin_leaf(double weight) {
  pass_.begin_leaf(weight);
  for (std::size_t b = 0; b < buckets_.size(); ++b) buckets_[b].missing = plan_.buckets[b].parameters.size();
  begin_pass();
}

void BucketedSynchronizer::check_ready(const std::string& call, std::size_t parameter) const {
  if (parameter >= parameters_.size()) {
    misuse(call + ": there is no parameter " + std::to_string(parameter) + " among " +
           std::to_string(parameters_.size()));
  }
  pass_.check_in_leaf(call);
  if (pass_.settled(parameter)) misuse(call + ": '" + parameters_[parameter].name + "' was ready before in this shard");
  check_values(call, parameter);
}

void BucketedSynchronizer::ready(std::size_t parameter) {
  check_ready("ready()", parameter);
  announce(parameter, rows_.has(parameter) ? rows_.every_row(parameter) : std::span<const std::uint32_t>{});
}

void BucketedSynchronizer::ready_rows(std::size_t parameter, std::span<const std::uint32_t> rows) {
  check_ready("ready_rows()", parameter);
  if (!rows_.has(parameter))
    misuse("ready_rows(): '" + parameters_[parameter].name + "' is not among DataParallelOptions::row_sparse");
  rows_.check_rows(parameter, rows);
  announce(parameter, rows);
}

void BucketedSynchronizer::announce(std::size_t parameter, std::span<const std::uint32_t> rows) {
  if (pass_.touch() && pass_.last()) start_weights();
  if (rows_.has(parameter)) {
    fold_rows(parameter, rows);
  } else {
    fold(parameter, true);
    settle(parameter);
  }
  if (pass_.weight() != 0.0) votes_.count(parameter);
  if (reduces() && options_.overlap) start_complete_buckets();
}

void BucketedSynchronizer::fold_rows(std::size_t parameter, std::span<const std::uint32_t> rows) {
  rows_.fold(parameter, pass_.folded(), rows);
  pass_.settle(parameter);
}

void BucketedSynchronizer::settle(std::size_t parameter) {
  pass_.settle(parameter);
  if (pass_.last()) ready_order_.push_back(parameter);
  const std::size_t bucket = plan_.places[parameter].bucket;
  if (--buckets_[bucket].missing == 0 && reduces()) trace_.bucket_ready(bucket);
}

void BucketedSynchronizer::end_leaf() {
  pass_.check_in_leaf("a shard ends that was not begun");
  if (pass_.touch() && pass_.last()) start_weights();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (rows_.has(p) && !pass_.settled(p)) fold_rows(p, {});
  }
  for (const Bucket& bucket : plan_.buckets) {
    for (const std::size_t p : bucket.parameters) {
      if (pass_.settled(p)) continue;
      fold(p, false);
      settle(p);
    }
    // Leaves in rounds leave nothing behind: the next one needs the memory.
    if (rounds_ > 1 || (pass_.last() && options_.overlap)) start_complete_buckets();
  }
  if (!pass_.last()) total_.add(pass_.weight());
  pass_.end_leaf();
}

void BucketedSynchronizer::start_weights() {
  total_.add(pass_.weight());  // the last leaf's weight can change no more
  total_.start(communicator_, call_options("total weight"), trace_.now());
}

void BucketedSynchronizer::trace_start(std::size_t bucket) {
  buckets_[bucket].started = trace_.now();
  buckets_[bucket].traced_end = false;
}

void BucketedSynchronizer::trace_end(std::size_t bucket) {
  if (!std::exchange(buckets_[bucket].traced_end, true)) trace_.bucket_reduced(bucket, buckets_[bucket].started);
}

StepOutcome BucketedSynchronizer::reduce() {
  pass_.check_passed();
  {
    const auto span = trace_.waits_for_weights();
    total_.known(true, trace_);
  }
  if (total_.value() != 0.0) {
    start_remaining_buckets();
    start_rows();
  }
  votes_.start(communicator_, call_options("ready counts"), bucket_votes(), trace_.now());
  wait_for_buckets();
  wait_for_rows();
  votes_.wait(trace_);
  if (votes_.other_buckets()) change_buckets();
  return votes_.outcome();
}

}  // namespace trireme::parallel
