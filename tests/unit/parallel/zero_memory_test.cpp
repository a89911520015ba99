// SPDX-License-Identifier: Apache-2.0
// What the stages cost: bytes of gradients on a rank, bytes on the wire.
#include "parallel/bucket_buffers.hpp"
#include "parallel/shard_groups.hpp"
#include "ranks.hpp"
#include "support/stride.hpp"
#include "trireme/optim/sgd.hpp"
#include "zero_field.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <numeric>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

constexpr std::size_t layers = 12, layer_count = 3 * 4096 + 5;
constexpr std::size_t layer_bytes = (layer_count * 4 + 63) / 64 * 64;

/// The most bytes of gradients that any rank held, in two steps over `layers` tensors of a bucket each.
std::size_t most_gradient_bytes(int ranks, const DataParallelOptions& options, bool access) {
  std::vector<std::size_t> most(static_cast<std::size_t>(ranks));
  run_ranks(ranks, [&](World& world) {
    const std::vector<MixedParameter> list(layers, {{static_cast<std::int64_t>(layer_count)}});
    MixedField model(list, !access);
    Sgd optimizer({.learning_rate = 0.1});
    DataParallel data_parallel(world.communicator(), model.parameters(), options);
    DistributedSampler sampler({.count = 32, .global_batch = 16});
    auto& here = most[static_cast<std::size_t>(world.rank())];
    const auto look = [&] { here = std::max<std::size_t>(here, data_parallel.gradient_memory().value); };
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        for (std::size_t p = layers; p-- > 0;) {
          const TensorView to = access ? data_parallel.access().gradient(p) : model.parameters()[p].gradient;
          model.backward(p, shard.samples().first(1), 1.0, to);
          shard.ready(p);
          look();
        }
      }
      step.reduce();
      step.apply(optimizer, {.clip_norm = 1.0});
      look();
    }
  });
  return *std::max_element(most.begin(), most.end());
}

/// Of all ranks, per step, of training `count` elements in f32.
std::vector<double> bytes_sent(int ranks, std::size_t count, const DataParallelOptions& options) {
  constexpr std::uint64_t steps = 3;
  std::vector<double> sent(static_cast<std::size_t>(ranks));
  run_ranks(ranks,
            [&](World& world) {
              std::vector<float> value(count, 1.0f), gradient(count, 0.5f);
              const std::vector<Parameter> parameters{
                  {"all", {static_cast<std::int64_t>(count)}, std::span<float>(value), std::span<float>(gradient)}};
              Sgd optimizer({.learning_rate = 0.1});
              DataParallel data_parallel(world.communicator(), parameters, options);
              DistributedSampler sampler({.count = 8 * (steps + 1), .global_batch = 8});
              std::uint64_t before = 0;
              for (auto& step : data_parallel.steps(sampler)) {
                if (step.index() == 1) before = world.communicator().payload_bytes_sent();
                for (auto& shard : step.shards()) shard.ready(0);
                step.reduce();
                step.apply(optimizer, {.clip_norm = 1.0});
              }
              sent[static_cast<std::size_t>(world.rank())] =
                  static_cast<double>(world.communicator().payload_bytes_sent() - before) / steps;
            },
            {.transport = "tcp"});
  return sent;
}

}  // namespace

TEST_CASE("at stage 2 a rank holds its part of the gradients and two buckets, whoever asks for memory") {
  const int ranks = GENERATE(from_range(thinned({2, 4}, {2})));
  const bool access = GENERATE(false, true);
  const auto cyclic = LeafAssignment::cyclic;
  const std::size_t whole = layers * layer_bytes;
  // A block more or less of each tensor, where it does not divide.
  const std::size_t part = whole / static_cast<std::size_t>(ranks) + layers * 4096 * 4;
  const DataParallelOptions one{.bucket_bytes = 1_KiB, .zero_stage = 2};
  DataParallelOptions rounds = one;
  rounds.logical_shards = 4 * ranks;
  rounds.leaf_assignment = cyclic;
  CAPTURE(ranks, access);
  REQUIRE(most_gradient_bytes(ranks, one, access) <= part + 2 * layer_bytes);
  REQUIRE(most_gradient_bytes(ranks, rounds, access) <= 3 * part + 2 * layer_bytes);  // log2(4) + 1 levels
  REQUIRE(most_gradient_bytes(ranks, {.bucket_bytes = 1_KiB, .zero_stage = 1}, false) == whole);
  DataParallelOptions block = rounds;
  block.leaf_assignment = LeafAssignment::block;
  REQUIRE(most_gradient_bytes(ranks, block, access) == 3 * whole);  // folded before they are reduced, as at stage 1
}

TEST_CASE("stages 1 and 2 send 2 psi (P-1)/P bytes per rank and step, for psi of gradients and of values") {
  constexpr std::size_t count = 40 * 4096 + 17;
  const int ranks = GENERATE(2, 4);
  const int stage = GENERATE(1, 2);
  const auto sent = bytes_sent(ranks, count, {.zero_stage = stage});
  const double formula = 2.0 * 4.0 * count * (ranks - 1) / ranks;
  CAPTURE(ranks, stage, sent, formula);
  const double mean = std::accumulate(sent.begin(), sent.end(), 0.0) / ranks;
  REQUIRE(mean == Approx(formula).epsilon(0.01));
  // A rank owns a block more than another.
  for (const double each : sent) REQUIRE(each == Approx(formula).margin(0.01 * formula + 4.0 * 4096 * ranks));
}

TEST_CASE("leaves in rounds cost a reduction each, groups that are subtrees no more than their own") {
  constexpr std::size_t count = 40 * 4096 + 17;
  const auto mean = [&](const DataParallelOptions& options) {
    const auto sent = bytes_sent(4, count, options);
    return std::accumulate(sent.begin(), sent.end(), 0.0) / 4;
  };
  const double psi = 4.0 * count;
  const auto rounds = mean({.logical_shards = 16, .zero_stage = 1, .leaf_assignment = LeafAssignment::cyclic});
  REQUIRE(rounds == Approx(psi * (4 + 1) * 3 / 4).epsilon(0.01));
  // Inside pairs psi/2 out and psi/2 of values, across them all_reduce of psi/2 between two.
  REQUIRE(mean({.zero_stage = 1, .shard_group = 2}) == Approx(psi / 2 + psi / 2 + psi / 2).epsilon(0.01));
}

TEST_CASE("groups are subtrees where their ranks' leaves are nodes of the tree") {
  using Counts = std::vector<int>;
  REQUIRE(parallel::leaves_of_groups(8, 4, 2) == Counts{4, 4});
  REQUIRE(parallel::leaves_of_groups(6, 6, 2) == Counts{2, 2, 2});
  REQUIRE(parallel::leaves_of_groups(8, 6, 2) == Counts{4, 2, 2});
  REQUIRE(parallel::leaves_of_groups(6, 6, 3) == Counts{});
  REQUIRE(parallel::leaves_of_groups(8, 8, 8) == Counts{8});
  REQUIRE(parallel::leaves_of_groups(12, 12, 4) == Counts{4, 4, 4});
}

TEST_CASE("explain says how gradients travel, and why whole buckets where groups are no subtrees") {
  Complaints complaints(6);
  run_ranks(6, [&](World& world) {
    Field<float> model({5000});
    const auto said = [&](const DataParallelOptions& options) {
      return DataParallel(world.communicator(), model.parameters(), options).explain();
    };
    const auto has = [&](const std::string& text, const std::string& part) {
      complaints.expect(world.rank(), text.find(part) != std::string::npos, "'" + text + "' without '" + part + "'");
    };
    has(said({}), "stage 0: every rank has all gradients");
    has(said({.zero_stage = 1}), "stage 1: reduce_scatter over 6 ranks");
    has(said({.zero_stage = 1, .shard_group = 2}), "3 groups of 2 ranks: reduce_scatter inside each");
    has(said({.zero_stage = 1, .shard_group = 3}), "groups of 3 are no subtrees of the tree over 6 leaves");
    has(said({.logical_shards = 8, .zero_stage = 2}),
        world.rank() < 2 ? "whole gradients are folded, 2 leaves" : "stage 2");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a pool of bucket memory has as many buffers as were held at a time, and no more") {
  run_ranks(1, [&](World& world) {
    const std::vector<MixedParameter> list{{{100}}, {{200}}, {{300}}, {{0}}};
    const MixedField model(list);
    const auto plan = parallel::plan_buckets(model.parameters(), Bytes{1}, Bytes{1});
    parallel::BucketBuffers pool(plan, world.communicator().memory());
    const auto expect = [](bool holds, const char* what) {
      if (!holds) throw std::logic_error(what);
    };
    expect(pool.pooled() && pool.held() == 0 && pool.pool_bytes().value == 0, "begins with nothing");
    std::byte* const first = pool.acquire(1);
    expect(first != nullptr && pool.acquire(1) == first && pool.at(1) == first && pool.held() == 1, "held");
    std::byte* const second = pool.acquire(2);
    expect(second != first && pool.held() == 2, "another");
    pool.release(1);
    expect(pool.at(1) == nullptr && pool.held() == 1, "released");
    expect(pool.acquire(3) == first, "the buffer that is free and large enough");
    pool.release(3);
    pool.release(2);
    pool.release(2);
    expect(pool.held() == 0, "twice is once");
    const auto bytes = pool.pool_bytes().value;
    for (int round = 0; round < 3; ++round) {
      for (std::size_t b = 0; b < 4; ++b) {
        pool.acquire(b);
        pool.release(b);
      }
    }
    expect(pool.pool_bytes().value == bytes, "kept");
  });
}
