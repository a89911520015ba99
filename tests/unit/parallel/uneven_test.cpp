// SPDX-License-Identifier: Apache-2.0
// Data that no sampler numbers: ranks that run out of it at different steps.
#include "field.hpp"
#include "ranks.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace trireme;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> uneven_counts{30, 5};

/// Samples of rank r at step s: 4, as long as it has some.
std::vector<std::uint32_t> stream(int rank, std::uint64_t step, std::size_t length) {
  std::vector<std::uint32_t> samples;
  for (std::size_t i = 4 * step; i < std::min<std::size_t>(4 * step + 4, length); ++i)
    samples.push_back(static_cast<std::uint32_t>(100 * static_cast<std::size_t>(rank) + i));
  return samples;
}

}  // namespace

TEST_CASE("a rank that runs out of data joins with weight 0 until all have, and every sample counts once") {
  const std::vector<std::size_t> lengths{9, 0, 17};  // samples of each rank: 3, 0 and 5 steps
  const bool loops = GENERATE(true, false);          // a rank without data iterates its shards, or calls reduce() alone
  Complaints complaints(3);
  Field<float> expected(uneven_counts);
  std::vector<std::vector<float>> values{expected.value(0), expected.value(1)};
  run_ranks(3, [&](World& world) {
    Field<float> model(uneven_counts);
    Sgd sgd({.learning_rate = 0.125});
    DataParallel data_parallel(world.communicator(), model.parameters(), {});
    const std::size_t length = lengths[static_cast<std::size_t>(world.rank())];
    std::uint64_t steps = 0;
    for (auto& step : data_parallel.steps()) {
      const auto samples = stream(world.rank(), step.index(), length);
      if (loops || !samples.empty()) {
        for (auto& shard : step.shards()) {
          complaints.expect(world.rank(), shard.samples().empty(), "samples without a sampler");
          shard.weight(static_cast<double>(samples.size()));
          if (samples.empty()) continue;
          model.backward(samples, [&](std::size_t p) { shard.ready(p); });
        }
      }
      complaints.expect(world.rank(), step.reduce() == StepOutcome::ready, "reduced");
      const ApplyOutcome outcome = step.apply(sgd);
      complaints.expect(world.rank(), (outcome == ApplyOutcome::empty) == (step.index() == 5),
                        "the empty step is the last");
      complaints.expect(world.rank(), step.index() == steps++, "index");
    }
    complaints.expect(world.rank(), steps == 6, "5 steps with data and one that finds none");
    if (world.rank() != 0) return;
    // What it must have been: the weighted mean over the ranks that had samples, by the tree over three leaves.
    for (std::uint64_t s = 0; s < 5; ++s) {
      for (std::size_t p = 0; p < 2; ++p) {
        const std::vector<float> before = values[p];
        for (std::size_t e = 0; e < before.size(); ++e) {
          float weight = 0;
          const float total = tree_sum<float>(0, 3, [&](int rank) {
            const auto part = stream(rank, s, lengths[static_cast<std::size_t>(rank)]);
            weight += static_cast<float>(part.size());
            return part.empty() ? -0.0f
                                : Field<float>::gradient_of(p, e, before[e], part) * static_cast<float>(part.size());
          });
          const float mean = total / weight;
          values[p][e] = before[e] - 0.125f * mean;
        }
      }
    }
    for (std::size_t p = 0; p < 2; ++p)
      complaints.expect(0, model.value(p) == values[p], "other values than the definition's");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a loop without a sampler can be left and begun again, and stops when somebody asks") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    Field<float> model(uneven_counts);
    Sgd sgd({.learning_rate = 0.125});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.logical_shards = 4});
    const auto one_step = [&](Step& step) {
      for (auto& shard : step.shards())
        model.backward(stream(world.rank(), 0, 4), [&](std::size_t p) { shard.ready(p); });
      const StepOutcome outcome = step.reduce();
      step.apply(sgd);
      return outcome;
    };
    for (auto& step : data_parallel.steps()) {
      one_step(step);
      complaints.expect(world.rank(), step.total_weight() == 4.0, "each leaf weighs 1");
      if (step.index() == 2) break;
    }
    std::uint64_t steps = 0;
    for (auto& step : data_parallel.steps()) {
      if (++steps == 3 && world.rank() == 1) data_parallel.request_stop();
      const StepOutcome outcome = one_step(step);
      complaints.expect(world.rank(), (outcome == StepOutcome::stop) == (steps == 3),
                        "outcome of step " + std::to_string(steps));
    }
    complaints.expect(world.rank(), steps == 3, "stopped after " + std::to_string(steps));
  });
  REQUIRE(complaints.all() == "");
}
