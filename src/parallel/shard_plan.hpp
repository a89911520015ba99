// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucket_plan.hpp"
#include "trireme/layout/interval.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace trireme::parallel {

/// Which rank owns which elements of every bucket: consecutive ranges in rank order, cut as evenly as edges allow. Edges lie
/// where a parameter begins, or inside one at multiples of layout::reduction_block of its elements, so that every
/// block of a norm lies on one rank; a rank may own nothing of a bucket. The padding behind a parameter belongs to the
/// owner of its last element.
class ShardPlan {
 public:
  /// `whole_tensors`: edges lie between parameters only.  Shape: ranks >= 1.
  ShardPlan(const BucketPlan& plan, int ranks, bool whole_tensors);

  int ranks() const { return ranks_; }
  /// Elements of the bucket, counted from its beginning.
  layout::Interval range(std::size_t bucket, int rank) const;
  /// How many elements each rank owns of it: what a reduce_scatter or all_gather of the bucket takes.
  std::span<const std::size_t> counts(std::size_t bucket) const { return counts_[bucket]; }
  /// Elements of the parameter, counted from its beginning; empty when the rank owns none.
  /// Shape: the parameter is in a bucket.
  layout::Interval owned(std::size_t parameter, int rank) const;

 private:
  struct Place {
    std::size_t bucket = 0;
    std::size_t begin = 0;  ///< in its bucket
    std::size_t count = 0;
  };
  int ranks_;
  std::vector<Place> places_;                    // per parameter
  std::vector<std::vector<std::size_t>> edges_;  // per bucket: where each rank begins, and the end
  std::vector<std::vector<std::size_t>> counts_;
};

}  // namespace trireme::parallel
