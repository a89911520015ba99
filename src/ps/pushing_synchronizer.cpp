// SPDX-License-Identifier: Apache-2.0
#include "ps/pushing_synchronizer.hpp"

#include "parallel/leaf_fold.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <utility>

namespace trireme::ps {
namespace {

parallel::BucketPlan places_of_gradients(const parallel::SynchronizerSetup& setup) {
  return parallel::plan_buckets(setup.parameters, setup.options.first_bucket_bytes, setup.options.bucket_bytes,
                                parallel::reverse_order(setup.row_sparse));
}

}  // namespace

PushingSynchronizer::PushingSynchronizer(const parallel::SynchronizerSetup& setup, std::shared_ptr<Session> session)
    : BucketedSynchronizer(setup, places_of_gradients(setup)),
      session_(std::move(session)),
      memory_bytes_(plan_.size_bytes * static_cast<std::size_t>(layout::fold_depth(own_leaves_))),
      memory_(parallel::host_fold_memory(communicator_.memory(), memory_bytes_,
                                         own_leaves_ == 1 ? setup.views : std::span<std::byte>{})),
      pushed_(parameters_.size(), false) {}

PushingSynchronizer::~PushingSynchronizer() {
  if (under_way_) session_->give_up();
}

TensorView PushingSynchronizer::folded(std::size_t parameter) const {
  const parallel::GradientPlace& place = plan_.places[parameter];
  return memory_->view(memory_->data() + place.begin_bytes, place.count, place.dtype);
}

void PushingSynchronizer::begin_buckets() { std::fill(pushed_.begin(), pushed_.end(), false); }

void PushingSynchronizer::fold(std::size_t parameter, bool present) {
  const TensorView place = folded(parameter);
  parallel::fold_leaf(*memory_,
                      {.first = static_cast<std::byte*>(place.data),
                       .level_bytes = plan_.size_bytes,
                       .count = place.count,
                       .dtype = place.dtype},
                      pass_.folded(), present ? &parameters_[parameter].gradient : nullptr);
  // Votes count own leaves so far; this one is counted behind its fold.
  if (pass_.last() && options_.overlap) push(parameter, (present && pass_.weight() != 0.0) || votes_.used(parameter));
}

/// What is unused counts as zeros, or, of weight 0, as the identity: nothing needs to travel for that, nor for a tensor without
/// elements.
void PushingSynchronizer::push(std::size_t parameter, bool used) {
  pushed_[parameter] = under_way_ = true;
  expect_sum(parameter);
  if (!used || parameters_[parameter].value.count == 0) {
    session_->client().push_nothing(parameter, push_options());
  } else if (rows_.has(parameter)) {
    session_->client().push_rows(parameter, rows_.own_rows(parameter), rows_.own_sums(parameter), push_options());
  } else {
    const TensorView sum = folded(parameter);
    session_->client().push(parameter, {0, sum.count}, sum, push_options());
  }
}

void PushingSynchronizer::start_remaining_buckets() {
  for (const parallel::Bucket& bucket : plan_.buckets) {
    for (const std::size_t p : bucket.parameters) {
      if (!pushed_[p]) push(p, votes_.used(p));
    }
  }
}

void PushingSynchronizer::start_rows() {
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (rows_.has(p)) push(p, votes_.used(p));
  }
}

void PushingSynchronizer::wait_for_buckets() {
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (!pushed_[p]) push(p, false);  // a step without any weight
  }
  for (std::size_t p = 0; p < parameters_.size(); ++p) wait_for_sum(p);
  under_way_ = false;
  ++session_->steps;
}

}  // namespace trireme::ps
