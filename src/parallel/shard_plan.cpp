// SPDX-License-Identifier: Apache-2.0
#include "parallel/shard_plan.hpp"

#include "trireme/base/dtype.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>

namespace trireme::parallel {
namespace {

/// The edge nearest to `ideal` that lies at a block of one of the parameters, given where they begin and end.
std::size_t edge_near(std::size_t ideal, std::size_t begin, std::size_t count, std::size_t next, bool whole_tensors) {
  std::size_t below = begin, above = next;
  if (!whole_tensors && ideal > begin) {
    const std::size_t block = (ideal - begin) / layout::reduction_block;
    if (block * layout::reduction_block < count) below = begin + block * layout::reduction_block;
    if ((block + 1) * layout::reduction_block < count) above = begin + (block + 1) * layout::reduction_block;
  }
  return ideal - below <= above - ideal ? below : above;
}

}  // namespace

ShardPlan::ShardPlan(const BucketPlan& plan, int ranks, bool whole_tensors)
    : ranks_(ranks), places_(plan.places.size()) {
  for (std::size_t b = 0; b < plan.buckets.size(); ++b) {
    const Bucket& bucket = plan.buckets[b];
    for (const std::size_t p : bucket.parameters) {
      const GradientPlace& place = plan.places[p];
      places_[p] = {b, (place.begin_bytes - bucket.begin_bytes) / size_of(bucket.dtype), place.count};
    }
    std::vector<std::size_t> edges{0}, counts;
    std::size_t at = 0;  // the parameter in which the ideal edge lies
    for (int rank = 1; rank < ranks; ++rank) {
      const std::size_t ideal =
          layout::multiply_divide(bucket.count, static_cast<std::size_t>(rank), static_cast<std::size_t>(ranks));
      const auto next_of = [&](std::size_t k) {
        return k + 1 < bucket.parameters.size() ? places_[bucket.parameters[k + 1]].begin : bucket.count;
      };
      while (at + 1 < bucket.parameters.size() && next_of(at) <= ideal) ++at;
      const Place& place = places_[bucket.parameters[at]];
      edges.push_back(std::max(edges.back(), edge_near(ideal, place.begin, place.count, next_of(at), whole_tensors)));
    }
    edges.push_back(bucket.count);
    for (std::size_t r = 0; r + 1 < edges.size(); ++r) counts.push_back(edges[r + 1] - edges[r]);
    edges_.push_back(std::move(edges));
    counts_.push_back(std::move(counts));
  }
}

layout::Interval ShardPlan::range(std::size_t bucket, int rank) const {
  const auto r = static_cast<std::size_t>(rank);
  return {edges_[bucket][r], edges_[bucket][r + 1]};
}

layout::Interval ShardPlan::owned(std::size_t parameter, int rank) const {
  const Place& place = places_[parameter];
  const layout::Interval all = range(place.bucket, rank);
  const std::size_t begin = std::max(all.begin, place.begin), end = std::min(all.end, place.begin + place.count);
  return begin < end ? layout::Interval{begin - place.begin, end - place.begin} : layout::Interval{};
}

}  // namespace trireme::parallel
