// SPDX-License-Identifier: Apache-2.0
// Parameters that some leaves, ranks or steps do not touch: nothing hangs, and nothing is updated that nobody used.
#include "field.hpp"
#include "ranks.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <numeric>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

TEST_CASE("a parameter ready on no leaf is skipped by the optimizer, with its state") {
  const int ranks = GENERATE(1, 2, 3, 4);
  const bool overlap = GENERATE(true, false);
  const bool views = GENERATE(false, true);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    Field<float> model({20, 30, 40});
    DataParallel data_parallel(
        world.communicator(), model.parameters(),
        {.bucket_bytes = 64_B, .logical_shards = 4, .overlap = overlap, .gradients_as_bucket_views = views});
    model.use_gradients(data_parallel.parameters());
    Sgd sgd({.learning_rate = 0.1, .momentum = 0.9, .l2_penalty = 0.1});  // a zero gradient would still move it
    DistributedSampler sampler({.count = 24, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      const bool skipped = step.index() == 1;
      for (auto& shard : step.shards()) {
        for (std::size_t p = 3; p-- > 0;) {
          model.backward(p, shard.samples());
          if (p != 1 || !skipped) shard.ready(p);
        }
      }
      step.reduce();
      complaints.expect(world.rank(), step.used(1) != skipped && step.used(0) && step.used(2), "used");
      const auto zero = model.value(0), one = model.value(1), two = model.value(2);
      step.apply(sgd);
      complaints.expect(world.rank(), model.value(0) != zero && model.value(2) != two, "used parameters move");
      complaints.expect(world.rank(), (model.value(1) == one) == skipped, "the unused one stays");
    }
    complaints.expect(world.rank(), sgd.states().at("parameter0").steps == 3, "steps of 0");
    complaints.expect(world.rank(), sgd.states().at("parameter1").steps == 2, "steps of 1");
  });
  CAPTURE(ranks, overlap, views);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a parameter ready on some leaves counts as zero of full weight on the others") {
  const int ranks = GENERATE(1, 2, 3, 4);
  const int only = GENERATE(0, 1, 2, 3);
  const bool views = GENERATE(false, true);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    Field<float> model({17, 5});
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.bucket_bytes = 64_B, .logical_shards = 4, .gradients_as_bucket_views = views});
    model.use_gradients(data_parallel.parameters());
    DistributedSampler sampler({.count = 8, .global_batch = 8, .shuffle = false});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        for (const std::size_t p : {std::size_t{1}, std::size_t{0}}) {
          // What is not ready may hold anything.
          const bool ready = p == 1 || static_cast<int>(shard.samples()[0]) / 2 == only;
          std::fill(model.gradient(p).begin(), model.gradient(p).end(),
                    ready ? 6.0f : std::numeric_limits<float>::quiet_NaN());
          if (ready) shard.ready(p);
        }
      }
      step.reduce();
      complaints.expect(world.rank(), step.used(0) && step.used(1), "used");
      for (const float each : step.gradient(0).as<float>())
        complaints.expect(world.rank(), each == 1.5f, "a quarter of 6");
      for (const float each : step.gradient(1).as<float>())
        complaints.expect(world.rank(), each == 6.0f, "the mean of 6");
    }
  });
  CAPTURE(ranks, only, views);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("ranks may differ in which parameters become ready and in which order, at no cost to the bits") {
  const int ranks = GENERATE(2, 3, 4);
  const bool overlap = GENERATE(true, false);
  const auto transport = GENERATE(as<std::string>{}, "mem", "tcp");
  const std::vector<std::size_t> counts{10, 20, 30, 40, 50};
  Complaints complaints(ranks);
  // Leaf v computes parameter p unless this says no; every rank in an order of its own.
  const auto computes = [](std::uint64_t step, std::uint32_t sample, std::size_t p) {
    return mix(step * 100 + sample * 10 + p) % 3 != 0;
  };
  const auto train = [&](World& world, bool shuffled) {
    Field<float> model(counts);
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.bucket_bytes = 128_B, .logical_shards = 4, .overlap = overlap});
    Sgd sgd({.learning_rate = 0.1});
    DistributedSampler sampler({.count = 40, .global_batch = 4, .shuffle = false});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        std::vector<std::size_t> order(counts.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        if (shuffled) {
          std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            const auto key = [&](std::size_t p) { return mix(step.index() * 1000 + shard.samples()[0] * 10 + p); };
            return key(a) < key(b);
          });
        }
        for (const std::size_t p : order) {
          if (!computes(step.index(), shard.samples()[0], p)) continue;
          model.backward(p, shard.samples());
          shard.ready(p);
        }
      }
      step.reduce();
      step.apply(sgd);
    }
    return model.bytes();
  };
  std::string expected;
  run_ranks(1, [&](World& world) { expected = train(world, false); });
  run_ranks(ranks, [&](World& world) { complaints.expect(world.rank(), train(world, true) == expected, "bits"); },
            {.transport = transport});
  CAPTURE(ranks, overlap, transport);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a rank that makes nothing ready holds nobody up") {
  Complaints complaints(3);
  run_ranks(3, [&](World& world) {
    Field<float> model({100, 100});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = 64_B});
    DistributedSampler sampler({.count = 9, .global_batch = 3});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        if (world.rank() == 1) continue;
        model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      }
      complaints.expect(world.rank(), step.reduce() == StepOutcome::ready && step.used(0) && step.total_weight() == 3.0,
                        "reduced");
    }
  });
  REQUIRE(complaints.all() == "");
}
