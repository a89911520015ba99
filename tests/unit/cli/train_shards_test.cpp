// SPDX-License-Identifier: Apache-2.0
#include "cli/train/loss_meter.hpp"
#include "cli/train/shard_feed.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <limits>
#include <mutex>
#include <set>

using namespace trireme;
using namespace trireme::cli;

namespace {

/// Images of one pixel, whose label and value are the sample's number.
data::LabelledImages numbered(std::size_t count) {
  data::LabelledImages images{.name = "numbered", .rows = 1, .columns = 1, .classes = 256, .images = {}, .labels = {}};
  for (std::size_t i = 0; i < count; ++i) {
    images.images.push_back(static_cast<std::uint8_t>(i));
    images.labels.push_back(static_cast<std::uint8_t>(i));
  }
  return images;
}

double loss_of(int leaf, int step) { return std::log(2.0 + 7 * leaf + step); }

}  // namespace

TEST_CASE("The feed hands out every own leaf's samples in the order of the steps, and skips empty leaves") {
  const auto count = GENERATE(as<std::size_t>{}, 23, 24);
  const auto batch = GENERATE(as<std::size_t>{}, 1, 3, 10, 40);
  const auto own = GENERATE(layout::LeafBlock{0, 8}, layout::LeafBlock{0, 1}, layout::LeafBlock{4, 4});
  const auto threads = GENERATE(0, 1);
  constexpr int leaves = 8;
  const auto images = numbered(count);
  data::DistributedSampler sampler({.count = count, .global_batch = batch, .seed = 3});
  ShardFeed feed(images, sampler, leaves, own, {.threads = threads});
  for (std::uint64_t step = 0; step < 2 * sampler.steps_per_epoch() + 1; ++step) {
    feed.begin_step();
    for (int leaf = 0; leaf < own.count; ++leaf) {
      const auto samples = data::DistributedSampler::leaf(sampler.batch(), leaves, own.first + leaf);
      if (samples.empty()) continue;
      const auto batch_of_leaf = feed.next();
      REQUIRE(std::vector<std::uint32_t>(batch_of_leaf.labels.begin(), batch_of_leaf.labels.end()) ==
              std::vector<std::uint32_t>(samples.begin(), samples.end()));
    }
    sampler.advance();
  }
}

TEST_CASE("The training loss has the same bits on any number of ranks up to the number of leaves") {
  constexpr int leaves = 8;
  constexpr int steps = 5;
  std::set<std::uint64_t> seen;
  std::mutex mutex;
  for (const int ranks : {1, 2, 3, 5, 8}) {
    testing::run_ranks(ranks, [&](World& world) {
      const auto own = layout::leaf_blocks(leaves, world.size())[static_cast<std::size_t>(world.rank())];
      LossMeter meter(static_cast<std::size_t>(own.count));
      auto communicator = world.communicator();
      for (int step = 0; step < steps; ++step) {
        for (int leaf = 0; leaf < own.count; ++leaf)
          meter.add(static_cast<std::size_t>(leaf), loss_of(own.first + leaf, step), 3);
        meter.count(3 * leaves);
      }
      const double loss = meter.take(communicator, {.leaves = leaves});
      const double nothing = meter.take(communicator, {.leaves = leaves});
      const std::lock_guard lock(mutex);
      seen.insert(std::bit_cast<std::uint64_t>(loss));
      CHECK(std::isnan(nothing));
    });
  }
  REQUIRE(seen.size() == 1);
  double expected = 0;
  for (int leaf = 0; leaf < leaves; ++leaf) {
    for (int step = 0; step < steps; ++step) expected += loss_of(leaf, step) / (leaves * steps);
  }
  CHECK(std::bit_cast<double>(*seen.begin()) == Approx(expected).epsilon(1e-12));
}

TEST_CASE("The loss of a step that is never completed is known to every rank but not part of the mean") {
  std::mutex mutex;
  testing::run_ranks(2, [&](World& world) {
    auto communicator = world.communicator();
    LossMeter meter(1);
    meter.add(0, 2.0, 3);
    meter.count(6);
    meter.add(0, world.rank() == 0 ? 5.0 : std::numeric_limits<double>::quiet_NaN(), 3);
    const double under_way = meter.sum_under_way(communicator, {.leaves = 2});
    const double mean = meter.take(communicator, {.leaves = 2});
    const std::lock_guard lock(mutex);
    CHECK(std::isnan(under_way));
    CHECK(mean == 2.0);
  });
}
