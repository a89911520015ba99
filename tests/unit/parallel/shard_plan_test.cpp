// SPDX-License-Identifier: Apache-2.0
#include "parallel/shard_plan.hpp"

#include "trireme/layout/flat_shards.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace trireme::parallel {
namespace {

std::vector<Parameter> parameters_of_counts(const std::vector<std::size_t>& counts) {
  std::vector<Parameter> parameters;
  for (const std::size_t count : counts) {
    const TensorView nowhere(nullptr, count, DType::f32);
    parameters.push_back(
        {"p" + std::to_string(parameters.size()), {static_cast<std::int64_t>(count)}, nowhere, nowhere});
  }
  return parameters;
}

std::size_t largest(std::span<const std::size_t> counts) { return *std::max_element(counts.begin(), counts.end()); }

}  // namespace

TEST_CASE("Shards of a bucket cover it once, in rank order, and meet inside a parameter at reduction blocks only") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::size_t> counts(1 + random() % 12);
    for (auto& count : counts) count = 1 + random() % (round % 3 == 0 ? 60000u : 9000u);
    const auto parameters = parameters_of_counts(counts);
    const BucketPlan plan = plan_buckets(parameters, Bytes{20000}, Bytes{200000});
    const int ranks = 1 + static_cast<int>(random() % 9);
    const bool whole = round % 2 == 0;
    CAPTURE(round, ranks, whole);
    const ShardPlan shards(plan, ranks, whole);
    for (std::size_t b = 0; b < plan.buckets.size(); ++b) {
      std::size_t end = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const layout::Interval range = shards.range(b, rank);
        REQUIRE(range.begin == end);
        REQUIRE(shards.counts(b)[static_cast<std::size_t>(rank)] == range.size());
        end = range.end;
      }
      REQUIRE(end == plan.buckets[b].count);
    }
    for (std::size_t p = 0; p < counts.size(); ++p) {
      std::size_t end = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const layout::Interval owned = shards.owned(p, rank);
        if (owned.size() == 0) continue;
        REQUIRE(owned.begin == end);
        REQUIRE(owned.begin % layout::reduction_block == 0);
        if (whole) REQUIRE(owned == layout::Interval{0, counts[p]});
        end = owned.end;
      }
      REQUIRE(end == counts[p]);
    }
  }
}

TEST_CASE("Shards of large tensors differ by a block, also between tensors that do not divide") {
  const auto parameters = parameters_of_counts({1'000'003, 777'777, 13, 250'000});
  const BucketPlan plan = plan_buckets(parameters, Bytes{1}, Bytes{std::uint64_t{1} << 40});
  for (const int ranks : {2, 3, 5, 8}) {
    const ShardPlan shards(plan, ranks, false);
    for (std::size_t b = 0; b < plan.buckets.size(); ++b) {
      const std::size_t even = plan.buckets[b].count / static_cast<std::size_t>(ranks);
      CAPTURE(ranks, b, even);
      if (even > 4 * layout::reduction_block) REQUIRE(largest(shards.counts(b)) <= even + 2 * layout::reduction_block);
    }
  }
}

}  // namespace trireme::parallel
