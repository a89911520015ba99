// SPDX-License-Identifier: Apache-2.0
// Whether the estimate of a rank's memory is what ranks really hold, and ZeRO's formula.
#include "trireme/parallel/memory_estimate.hpp"

#include "bench/zero/live_heap.hpp"
#include "bench/zero/zero_run.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/optim/adafactor.hpp"
#include "trireme/optim/adam.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

using namespace trireme;
using namespace trireme::parallel;

namespace {

constexpr ZeroWidths f32_adam{4, 4, 8}, bf16_adam{2, 4, 12};

bench::ZeroCase small_case(DType dtype, int ranks, int stage) {
  return {.size = {.layers = 5, .channels = 96, .vocabulary = 301, .dtype = dtype}, .ranks = ranks, .stage = stage};
}

/// Complaints of a run, by rank.
std::string differences(const bench::ZeroRun& run) {
  std::string text;
  const auto expect = [&](bool holds, std::size_t rank, const std::string& what) {
    if (!holds) text += "rank " + std::to_string(rank) + ": " + what + "; ";
  };
  for (std::size_t r = 0; r < run.ranks.size(); ++r) {
    const bench::RankMemory& held = run.ranks[r];
    const MemoryEstimate& estimate = held.estimate;
    expect(estimate.parameters == run.parameters, r, "parameters");
    expect(held.own_values + held.values_kept == estimate.values.value, r, "values");
    expect(held.gradients_kept == estimate.gradients.value, r, "gradients");
    expect(held.state == estimate.optimizer_state.value + estimate.masters.value, r, "state");
    expect(held.gradients_most - held.gradients_kept <= estimate.transient_gradients.value, r, "buckets");
    expect(held.values_most - held.values_kept <= estimate.transient_values.value, r, "units");
    // What steps leave behind beside state: names, working memory of a rule.
    const double counted = held.counted() - static_cast<double>(estimate.kept().value);
    expect(!bench::counts_heap() || (counted > -64.0 && counted < 65536.0), r,
           "counted " + std::to_string(counted) + " more");
    expect(held.books < 2'000'000, r, "books of " + std::to_string(held.books));
  }
  return text;
}

std::string refusal(const DataParallelOptions& options, const Optimizer& optimizer, int ranks, int rank) {
  try {
    const bench::LayeredModel model({.layers = 1, .channels = 96}, false);
    (void)estimate_memory(model.parameters(), options, optimizer, ranks, rank);
  } catch (const Exception& refused) {
    return refused.error().message;
  }
  return "";
}

}  // namespace

TEST_CASE("the estimate of memory is what DataParallel, the optimizer and the allocator say, at every stage") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const int ranks = GENERATE(1, 2, 4, 8);
  const ZeroWidths widths = dtype == DType::f32 ? f32_adam : bf16_adam;
  std::string hash;
  for (int stage = 0; stage < 4; ++stage) {
    CAPTURE(name_of(dtype), ranks, stage);
    const bench::ZeroRun run = bench::run_zero(small_case(dtype, ranks, stage));
    REQUIRE(differences(run) == "");
    REQUIRE(run.same_everywhere);
    if (stage == 0) hash = run.hash;
    REQUIRE(run.hash == hash);
    double sum = 0, largest = 0;
    for (const auto& rank : run.ranks) {
      sum += static_cast<double>(rank.kept());
      largest = std::max(largest, static_cast<double>(rank.kept()));
    }
    // Lines of 64 bytes: at most one for a gradient and one for a value of each of the 16 parameters, all ranks together.
    const double formula = zero_bytes_per_parameter(stage, ranks, widths) * static_cast<double>(run.parameters);
    REQUIRE(std::abs(sum / ranks - formula) <= 0.005 * formula + 16 * 2 * 64);
    // A rank's edges lie up to half a block of 4096 elements from where they should, in each of the 6 buckets.
    REQUIRE(largest - formula <= 0.005 * formula + 6 * 4096 * 16);
  }
}

TEST_CASE("the estimate knows leaves that are folded or come in rounds, and groups that share shards") {
  const int stage = GENERATE(0, 1, 2, 3);
  bench::ZeroCase how = small_case(DType::f32, 4, stage);
  SECTION("four leaves of a block on each rank") { how.leaves = 16; }
  SECTION("in rounds") {
    how.leaves = 16;
    how.assignment = LeafAssignment::cyclic;
  }
  SECTION("two groups") { how.shard_group = 2; }
  if (how.stage == 0 && how.shard_group != 0) return;
  CAPTURE(stage, how.leaves, how.shard_group);
  const bench::ZeroRun run = bench::run_zero(how);
  if (stage < 2 && how.leaves != 0) {
    // Views of gradients beside the fold, which gradient_memory() does not count.
    for (const auto& rank : run.ranks) {
      REQUIRE(rank.gradients_kept == rank.estimate.gradients.value);
      REQUIRE(rank.estimate.given_gradients.value > 0);
    }
  } else {
    REQUIRE(differences(run) == "");
  }
}

TEST_CASE("wire bytes per step are those of the formula at every stage") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const int ranks = GENERATE(2, 4);
  const int stage = GENERATE(0, 1, 2, 3);
  bench::ZeroCase how = small_case(dtype, ranks, stage);
  how.transport = "tcp";
  const bench::ZeroRun run = bench::run_zero(how);
  const double mean = std::accumulate(run.sent.begin(), run.sent.end(), 0.0) / ranks;
  const double formula = zero_wire_bytes_per_parameter(stage, ranks, dtype == DType::f32 ? f32_adam : bf16_adam) *
                             static_cast<double>(run.parameters) -
                         run.turn_bytes * (ranks - 1) / ranks;
  CAPTURE(name_of(dtype), ranks, stage, mean, formula);
  REQUIRE(mean == Approx(formula).epsilon(0.01));
}

TEST_CASE("a Gpt at stage 3 sends what the formula says: its embeddings are used before the blocks and at the turn") {
  constexpr int ranks = 2, rows = 4;
  constexpr std::uint64_t steps = 3;
  const models::GptOptions size{
      .vocabulary = 64, .context = 16, .layers = 3, .heads = 4, .channels = 64, .memory_elsewhere = true};
  std::vector<double> sent(ranks);
  double psi = 0;
  const models::Gpt<float> list(size);
  for (const Parameter& parameter : list.parameters()) psi += static_cast<double>(parameter.value.count);
  testing::run_ranks(ranks,
                     [&](World& world) {
                       models::Gpt<float> model(size);
                       DataParallel data_parallel(world.communicator(), model.parameters(),
                                                  {.zero_stage = 3,
                                                   .units = model.units(),
                                                   .initial = [&](std::size_t p, std::size_t first, TensorView part) {
                                                     model.set_initial(p, first, part);
                                                   }});
                       model.use_access(data_parallel.access());
                       Adam optimizer({});
                       DistributedSampler sampler({.count = (steps + 1) * ranks * rows, .global_batch = ranks * rows});
                       const std::vector<std::uint16_t> tokens(rows * (size.context + 1), 7);
                       std::uint64_t before = 0;
                       for (auto& step : data_parallel.steps(sampler)) {
                         if (step.index() == 1) before = world.communicator().payload_bytes_sent();
                         for (auto& shard : step.shards())
                           model.forward_backward(tokens, rows, [&](std::size_t p) { shard.ready(p); });
                         step.reduce();
                         step.apply(optimizer);
                       }
                       sent[static_cast<std::size_t>(world.rank())] =
                           static_cast<double>(world.communicator().payload_bytes_sent() - before) / steps;
                     },
                     {.transport = "tcp"});
  const double mean = std::accumulate(sent.begin(), sent.end(), 0.0) / ranks;
  const double formula = zero_wire_bytes_per_parameter(3, ranks, f32_adam) * psi;
  CAPTURE(psi, mean, formula);
  REQUIRE(mean == Approx(formula).epsilon(0.005));
}

TEST_CASE("ZeRO's formulas in its own numbers: 7.5 billion parameters on 64 ranks") {
  const ZeroWidths paper{2, 2, 12};
  const auto gigabytes = [&](int stage) { return 7.5 * zero_bytes_per_parameter(stage, 64, paper); };
  REQUIRE(gigabytes(0) == Approx(120));
  REQUIRE(gigabytes(1) == Approx(31.4).epsilon(0.01));
  REQUIRE(gigabytes(2) == Approx(16.6).epsilon(0.01));
  REQUIRE(gigabytes(3) == Approx(1.9).epsilon(0.02));
  // Psi of 2 bytes: 2 Psi (N-1)/N, and 3 Psi (N-1)/N.
  REQUIRE(zero_wire_bytes_per_parameter(0, 64, paper) == Approx(4.0 * 63 / 64));
  REQUIRE(zero_wire_bytes_per_parameter(2, 64, paper) == Approx(4.0 * 63 / 64));
  REQUIRE(zero_wire_bytes_per_parameter(3, 64, paper) == Approx(6.0 * 63 / 64));
  // A distributed optimizer, bf16 values and f32 gradients: 6 + 12/d; f32: 8 + 8/d.
  REQUIRE(zero_bytes_per_parameter(1, 8, bf16_adam) == 6 + 12.0 / 8);
  REQUIRE(zero_bytes_per_parameter(1, 8, f32_adam) == 8 + 8.0 / 8);
}

TEST_CASE("state is what the rule declares") {
  const bench::LayeredModel model({.layers = 1, .channels = 96}, false);
  const std::size_t psi = model.elements();
  const auto state = [&](const Optimizer& optimizer, const DataParallelOptions& options) {
    return estimate_memory(model.parameters(), options, optimizer, 1, 0).optimizer_state.value;
  };
  REQUIRE(state(Adam({}), {}) == 8 * psi);
  REQUIRE(state(Sgd({.learning_rate = 0.1, .momentum = 0.9}), {}) == 4 * psi);
  REQUIRE(state(Sgd({.learning_rate = 0.1}), {}) == 0);
  REQUIRE(state(Adafactor({}), {}) < psi);
}

TEST_CASE("estimates that make no sense are refused, saying why") {
  const Adam adam({});
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  REQUIRE(has(refusal({.zero_stage = 4}, adam, 2, 0), "stages 0 to 3, not 4"));
  REQUIRE(has(refusal({}, adam, 0, 0), "0 ranks"));
  REQUIRE(has(refusal({}, adam, 2, 2), "no rank 2 among 2"));
  REQUIRE(has(refusal({.zero_stage = 1, .shard_group = 3}, adam, 4, 0), "shard_group"));
  REQUIRE(has(refusal({.row_sparse = {"table"}}, adam, 2, 0), "row_sparse"));
  REQUIRE(has(refusal({.zero_stage = 2, .units = {{"none"}}}, adam, 2, 0), "no parameter is left for unit 0"));
  REQUIRE(has(refusal({.zero_stage = 1}, Adafactor({}), 2, 0), "zero_whole_tensors"));
  REQUIRE(refusal({.zero_stage = 1, .zero_whole_tensors = true}, Adafactor({}), 2, 0) == "");
}
