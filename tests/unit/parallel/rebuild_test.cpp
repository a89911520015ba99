// SPDX-License-Identifier: Apache-2.0
// Buckets follow the order in which gradients become ready.
#include "field.hpp"
#include "ranks.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> rebuilt_counts{64, 64, 64, 64, 64};
using Order = std::vector<std::size_t>;
using Buckets = std::vector<std::vector<std::size_t>>;

const DataParallelOptions two_in_a_bucket{
    .bucket_bytes = Bytes{512}, .first_bucket_bytes = Bytes{256}, .logical_shards = 4};

/// Trains with gradients announced in `order(step, rank)`; `seen(step, data_parallel)` looks before each step.
std::string train_announcing(int ranks, DataParallelOptions options,
                             const std::function<Order(std::uint64_t, int)>& order,
                             const std::function<void(std::uint64_t, int, const DataParallel&)>& seen) {
  std::string bytes;
  run_ranks(ranks, [&](World& world) {
    Field<float> model(rebuilt_counts);
    Sgd sgd({.learning_rate = 0.1});
    DataParallel data_parallel(world.communicator(), model.parameters(), options);
    if (options.gradients_as_bucket_views) model.use_gradients(data_parallel.parameters());
    DistributedSampler sampler({.count = 48, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      seen(step.index(), world.rank(), data_parallel);
      for (auto& shard : step.shards()) {
        for (const std::size_t p : order(step.index(), world.rank())) {
          model.backward(p, shard.samples());
          shard.ready(p);
        }
      }
      step.reduce();
      step.apply(sgd);
    }
    if (world.rank() == 0) bytes = model.bytes();
  });
  return bytes;
}

}  // namespace

TEST_CASE("after two steps in one order buckets are filled in that order on every rank, and no bit changes") {
  const int ranks = GENERATE(2, 3);
  const Buckets reverse{{4}, {3, 2}, {1, 0}}, forward{{0}, {1, 2}, {3, 4}};
  Complaints complaints(ranks);
  const auto announce = [](std::uint64_t, int rank) {
    return rank == 0 ? Order{0, 1, 2, 3, 4} : Order{2, 0, 1, 4, 3};  // rank 0's counts
  };
  const std::string rebuilt = train_announcing(
      ranks, two_in_a_bucket, announce, [&](std::uint64_t step, int rank, const DataParallel& data_parallel) {
        complaints.expect(rank, data_parallel.buckets() == (step < 2 ? reverse : forward),
                          "buckets at step " + std::to_string(step));
      });
  REQUIRE(complaints.all() == "");
  DataParallelOptions fixed = two_in_a_bucket;
  fixed.rebuild_buckets = false;
  const std::string kept =
      train_announcing(ranks, fixed, announce, [&](std::uint64_t, int rank, const DataParallel& data_parallel) {
        complaints.expect(rank, data_parallel.buckets() == reverse, "fixed buckets");
      });
  REQUIRE(complaints.all() == "");
  REQUIRE((rebuilt == kept));
}

TEST_CASE("an order that changes with every step moves no bucket, and one that settles later does") {
  Complaints complaints(2);
  const Buckets reverse{{4}, {3, 2}, {1, 0}}, late{{2}, {3, 4}, {0, 1}};
  train_announcing(
      2, two_in_a_bucket,
      [](std::uint64_t step, int) {
        if (step >= 3) return Order{2, 3, 4, 0, 1};
        return step % 2 == 0 ? Order{0, 1, 2, 3, 4} : Order{1, 0, 2, 3, 4};
      },
      [&](std::uint64_t step, int rank, const DataParallel& data_parallel) {
        complaints.expect(rank, data_parallel.buckets() == (step < 5 ? reverse : late),
                          "buckets at step " + std::to_string(step));
      });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("bucket views, or no overlap, keep the buckets as they are") {
  Complaints complaints(2);
  DataParallelOptions options = two_in_a_bucket;
  options.gradients_as_bucket_views = GENERATE(false, true);
  options.overlap = options.gradients_as_bucket_views;
  train_announcing(
      2, options,
      [](std::uint64_t, int) {
        return Order{0, 1, 2, 3, 4};
      },
      [&](std::uint64_t, int rank, const DataParallel& data_parallel) {
        complaints.expect(rank, data_parallel.buckets() == Buckets{{4}, {3, 2}, {1, 0}}, "moved");
      });
  REQUIRE(complaints.all() == "");
}
