// SPDX-License-Identifier: Apache-2.0
// The first promise, for training: the same weights, bit by bit, on any number of ranks up to the number of leaves.
#include "field.hpp"
#include "ranks.hpp"
#include "support/stride.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/plan/plans.hpp"

#include <catch2/catch.hpp>

#include <optional>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> bits_counts{300, 7, 0, 40, 1, 85};
constexpr std::size_t samples = 37;  // batches of 10, 10, 10 and 7: unequal leaves, and empty ones of 8
constexpr int epochs = 2;

struct Way {
  int ranks = 1;
  int leaves = 4;
  Bytes bucket_bytes = 1_KiB;
  bool overlap = true;
  bool views = false;
  std::string transport = "mem";
  std::optional<std::string> algorithm{};
  bool adamw = false;
  double clip_norm = 0.0;

  std::string describe() const {
    return std::to_string(ranks) + " ranks, " + std::to_string(leaves) + " leaves, buckets of " +
           std::to_string(bucket_bytes.value) + (overlap ? ", overlap" : "") + (views ? ", views" : "") + ", " +
           transport + ", " + algorithm.value_or("auto") + (adamw ? ", adamw" : ", sgd");
  }
};

/// The parameters after training, by rank.
std::vector<std::string> train(const Way& way) {
  std::vector<std::string> results(static_cast<std::size_t>(way.ranks));
  run_ranks(way.ranks,
            [&](World& world) {
              Field<float> model(bits_counts, static_cast<std::uint64_t>(1 + world.rank()));  // rank 0's values win
              DataParallel data_parallel(world.communicator(), model.parameters(),
                                         {.bucket_bytes = way.bucket_bytes,
                                          .logical_shards = way.leaves,
                                          .overlap = way.overlap,
                                          .gradients_as_bucket_views = way.views});
              if (way.views) model.use_gradients(data_parallel.parameters());
              Sgd sgd({.learning_rate = 0.05, .momentum = 0.9, .l2_penalty = 1e-3});
              AdamW adamw({.learning_rate = 0.01});
              Optimizer& optimizer = way.adamw ? static_cast<Optimizer&>(adamw) : sgd;
              DistributedSampler sampler({.count = samples, .global_batch = 10, .seed = 5});
              while (sampler.cursor().epoch < epochs) {
                for (auto& step : data_parallel.steps(sampler)) {
                  for (auto& shard : step.shards())
                    model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
                  if (step.reduce() == StepOutcome::ready) step.apply(optimizer, {.clip_norm = way.clip_norm});
                }
              }
              results[static_cast<std::size_t>(world.rank())] = model.bytes();
            },
            {.transport = way.transport, .world = {.algorithm = way.algorithm}});
  return results;
}

void require_same(const std::string& expected, const Way& way) {
  INFO(way.describe());
  for (const auto& result : train(way)) REQUIRE((result == expected));
}

}  // namespace

TEST_CASE("one rank adds the leaves along the balanced tree, weighted, and divides once") {
  const int leaves = GENERATE(4, 8);
  Field<float> model(bits_counts);
  std::vector<std::vector<float>> expected;
  for (std::size_t p = 0; p < bits_counts.size(); ++p) expected.push_back(model.value(p));
  DistributedSampler sampler({.count = samples, .global_batch = 10, .seed = 5}), walker = sampler;
  constexpr float rate = 0.0625f;
  run_ranks(1, [&](World& world) {
    DataParallel data_parallel(world.communicator(), model.parameters(), {.logical_shards = leaves});
    Sgd sgd({.learning_rate = rate});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      step.apply(sgd);
    }
  });
  for (std::uint64_t step = 0; step < walker.steps_per_epoch(); ++step) {
    const auto batch = walker.batch(0, step);
    for (std::size_t p = 0; p < bits_counts.size(); ++p) {
      const auto before = expected[p];
      for (std::size_t e = 0; e < bits_counts[p]; ++e) {
        const float total = tree_sum<float>(0, leaves, [&](int leaf) {
          const auto part = DistributedSampler::leaf(batch, leaves, leaf);
          return part.empty() ? -0.0f
                              : Field<float>::gradient_of(p, e, before[e], part) * static_cast<float>(part.size());
        });
        const float mean = total / static_cast<float>(batch.size());
        const float change = rate * mean;
        expected[p][e] = before[e] - change;
      }
    }
  }
  for (std::size_t p = 0; p < bits_counts.size(); ++p) REQUIRE((model.value(p) == expected[p]));
}

TEST_CASE("any number of ranks gives the same bits, whatever the buckets and with or without overlap") {
  const int leaves = GENERATE(4, 8);
  const std::string expected = train({.leaves = leaves}).front();
  for (const int ranks : thinned({1, 2, 3, 4, 8}, {2, 3})) {
    if (ranks > leaves) continue;
    for (const Bytes bucket : {64_B, 1_KiB, 25_MiB}) {
      for (const bool overlap : {true, false}) {
        require_same(expected, {.ranks = ranks, .leaves = leaves, .bucket_bytes = bucket, .overlap = overlap});
      }
    }
  }
}

TEST_CASE("gradients as bucket views change no bit, on any number of ranks, wherever they are reduced") {
  const int leaves = GENERATE(1, 4);
  const std::string expected = train({.leaves = leaves}).front();
  for (const int ranks : thinned({1, 2, 3, 4}, {1, 3})) {
    if (ranks > leaves) continue;
    for (const bool overlap : {true, false}) {
      for (const char* transport : {"mem", "shm", "tcp"}) {
        require_same(expected,
                     {.ranks = ranks, .leaves = leaves, .overlap = overlap, .views = true, .transport = transport});
      }
    }
  }
}

TEST_CASE("the bits belong to the number of leaves: another tree gives others") {
  REQUIRE((train({.leaves = 4}).front() != train({.leaves = 8}).front()));
}

TEST_CASE("every canonical algorithm gives the same bits, wherever its plan is defined") {
  const int leaves = GENERATE(4, 8);
  const std::string expected = train({.leaves = leaves}).front();
  for (const int ranks : thinned({2, 3, 4, 8}, {3, 4})) {
    if (ranks > leaves) continue;
    int tried = 0;
    for (const auto algorithm : plan::defined_algorithms(
             {.collective = plan::Collective::all_reduce, .ranks = ranks, .leaves = leaves}, true)) {
      require_same(expected, {.ranks = ranks, .leaves = leaves, .algorithm = std::string(plan::name_of(algorithm))});
      ++tried;
    }
    REQUIRE(tried == (ranks == 3 ? 2 : 4));  // recursive doubling wants a power of two
  }
}

TEST_CASE("transports change no bit") {
  const auto transport = GENERATE(as<std::string>{}, "shm", "tcp");
  const std::string expected = train({}).front();
  for (const int ranks : thinned({2, 3, 4}, {3})) {
    for (const Bytes bucket : {64_B, 25_MiB})
      require_same(expected, {.ranks = ranks, .bucket_bytes = bucket, .transport = transport});
  }
}

TEST_CASE("AdamW and clipping keep the bits") {
  const std::string expected = train({.adamw = true, .clip_norm = 0.5}).front();
  REQUIRE((expected != train({.adamw = true}).front()));
  for (const int ranks : {2, 3, 4})
    require_same(expected, {.ranks = ranks, .bucket_bytes = 64_B, .adamw = true, .clip_norm = 0.5});
}
