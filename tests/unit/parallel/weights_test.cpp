// SPDX-License-Identifier: Apache-2.0
#include "field.hpp"
#include "ranks.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Sample s of a batch of 0, 1, 2, …: its tokens.
double tokens(std::uint32_t sample) { return static_cast<double>(1 + sample % 5); }

}  // namespace

TEST_CASE("shard.weight() weighs each shard's mean gradient; the mean is over the total") {
  const int ranks = GENERATE(1, 2, 3, 4);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    Field<double> model({5, 3});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = 64_B, .logical_shards = 4});
    DistributedSampler sampler({.count = 11, .global_batch = 11, .shuffle = false});
    const auto batch = sampler.batch();
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        double weight = 0;
        for (const auto sample : shard.samples()) weight += tokens(sample);
        shard.weight(1e6);  // the last word counts
        shard.weight(weight);
        model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      }
      complaints.expect(world.rank(), step.reduce() == StepOutcome::ready, "outcome");
      double total = 0;
      for (const auto sample : batch) total += tokens(sample);
      complaints.expect(world.rank(), step.total_weight() == total,
                        "total weight " + std::to_string(step.total_weight()));
      for (std::size_t p = 0; p < 2; ++p) {
        const auto gradient = step.gradient(p).as<double>();
        for (std::size_t e = 0; e < gradient.size(); ++e) {
          double weighted = 0;
          for (int leaf = 0; leaf < 4; ++leaf) {
            const auto part = DistributedSampler::leaf(batch, 4, leaf);
            double weight = 0;
            for (const auto sample : part) weight += tokens(sample);
            weighted += weight * Field<double>::gradient_of(p, e, model.value(p)[e], part);
          }
          complaints.expect(world.rank(), std::fabs(gradient[e] - weighted / total) <= 1e-14, "gradient");
        }
      }
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("without weight() a shard weighs its samples") {
  Complaints complaints(3);
  run_ranks(3, [&](World& world) {
    Field<double> model({2});
    DataParallel data_parallel(world.communicator(), model.parameters());
    DistributedSampler sampler({.count = 10, .global_batch = 10});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        const bool third = shard.samples().size() == 4;  // 3, 3 and 4 samples
        model.gradient(0)[0] = third ? 10.0 : 0.0;
        model.gradient(0)[1] = 1.0;
        shard.ready(0);
      }
      step.reduce();
      complaints.expect(world.rank(), step.total_weight() == 10.0, "total weight");
      complaints.expect(world.rank(), step.gradient(0).as<double>()[0] == 4.0, "weighted");
      complaints.expect(world.rank(), step.gradient(0).as<double>()[1] == 1.0, "constant");
      complaints.expect(world.rank(), step.batch_size() == 10, "batch size");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a shard of weight 0 is left out, whatever its gradients hold") {
  const int ranks = GENERATE(1, 2, 4);
  const int left_out = GENERATE(0, 1, 2, 3);
  const bool views = GENERATE(false, true);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    Field<float> model({70});
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.logical_shards = 4, .gradients_as_bucket_views = views});
    model.use_gradients(data_parallel.parameters());
    DistributedSampler sampler({.count = 4, .global_batch = 4, .shuffle = false});  // sample v is leaf v
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        const int leaf = static_cast<int>(shard.samples()[0]);
        if (leaf == left_out) shard.weight(0);
        std::fill(model.gradient(0).begin(), model.gradient(0).end(),
                  leaf == left_out ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(3 * (leaf + 1)));
        shard.ready(0);
      }
      step.reduce();
      const float expected = static_cast<float>(3 * (10 - (left_out + 1))) / 3.0f;
      complaints.expect(world.rank(), step.total_weight() == 3.0, "total weight");
      complaints.expect(world.rank(), step.gradient(0).as<float>()[69] == expected, "gradient");
      complaints.expect(world.rank(), step.used(0), "used");
    }
  });
  CAPTURE(ranks, left_out, views);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a negative zero survives a shard that is left out") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    Field<float> model({1});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.logical_shards = 4});
    DistributedSampler sampler({.count = 4, .global_batch = 4, .shuffle = false});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        if (shard.samples()[0] != 2) shard.weight(0);
        model.gradient(0)[0] = -0.0f;
        shard.ready(0);
      }
      step.reduce();
      complaints.expect(world.rank(), std::signbit(step.gradient(0).as<float>()[0]), "sign");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a step of total weight 0 is skipped on all ranks and says so; training goes on after it") {
  const int ranks = GENERATE(1, 2, 3);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    Field<float> model({40, 3});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = 64_B});
    Sgd sgd({.learning_rate = 0.5, .momentum = 0.9});
    DistributedSampler sampler({.count = 12, .global_batch = 6});
    for (auto& step : data_parallel.steps(sampler)) {
      const bool empty = step.index() == 0;
      for (auto& shard : step.shards()) {
        if (empty) shard.weight(0);
        for (auto p : {std::size_t{1}, std::size_t{0}}) {
          std::fill(model.gradient(p).begin(), model.gradient(p).end(),
                    empty ? static_cast<float>(not_a_number) : 1.0f);
          shard.ready(p);
        }
      }
      const std::string before = model.bytes();
      complaints.expect(world.rank(), step.reduce() == StepOutcome::ready, "outcome");
      complaints.expect(world.rank(), (step.total_weight() == 0.0) == empty, "total weight");
      complaints.expect(world.rank(), step.used(0) != empty, "used");
      step.apply(sgd, {.clip_norm = 1.0});
      complaints.expect(world.rank(), (model.bytes() == before) == empty, "parameters");
      complaints.expect(world.rank(), sgd.states().size() == (empty ? 0u : 2u), "state");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("weights that are no weights are refused") {
  Complaints complaints(1);
  run_ranks(1, [&](World& world) {
    Field<float> model({1});
    DataParallel data_parallel(world.communicator(), model.parameters());
    DistributedSampler sampler({.count = 1, .global_batch = 1});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        for (const double bad : {-1.0, not_a_number, std::numeric_limits<double>::infinity()}) {
          complaints.expect_refusal(0, "weight(): ", [&] { shard.weight(bad); });
        }
        shard.ready(0);
        complaints.expect_refusal(0, "weight() must come before the first ready()", [&] { shard.weight(1.0); });
      }
      step.reduce();
      complaints.expect(0, step.total_weight() == 1.0, "a refused weight counts");
    }
  });
  REQUIRE(complaints.all() == "");
}
