// SPDX-License-Identifier: Apache-2.0
// The same bits on any number of ranks, for every update rule, with everything on that could disturb them.
#include "field.hpp"
#include "support/stride.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/schedule.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/optim/rules.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::literals;
using testing::Field;
using testing::run_ranks;

namespace {

const std::vector<std::size_t> matrix_counts{6 * 11, 5, 4100, 1};

/// The first and third parameters as matrices.
std::vector<Parameter> with_matrices(std::vector<Parameter> parameters) {
  parameters[0].shape = {6, 11};
  parameters[2].shape = {41, 100};
  return parameters;
}

std::string trained(const testing::NamedRule& rule, int ranks, bool accumulate) {
  std::string bytes;
  run_ranks(ranks, [&](World& world) {
    Field<float> model(matrix_counts);
    const auto optimizer = rule.make();
    optimizer->add_group({.name = "slow", .parameters = {"*1"}, .learning_rate_scale = 0.5, .weight_decay = 0.0});
    const Schedule schedule{.kind = ScheduleKind::cosine, .warmup_steps = 2, .total_steps = 6};
    LossScaler scaler({.initial = 256, .interval = 2});
    DataParallel data_parallel(
        world.communicator(), with_matrices(model.parameters()),
        {.bucket_bytes = 4_KiB, .logical_shards = accumulate ? 0 : 8, .accumulate = accumulate ? 8 / world.size() : 0});
    DistributedSampler sampler({.count = 55, .global_batch = 10, .seed = 5});
    const double rate = optimizer->learning_rate();
    std::uint64_t t = 0;
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        model.backward(shard.samples(), [&](std::size_t p) {
          for (float& g : model.gradient(p)) g *= static_cast<float>(scaler.scale());
          shard.ready(p);
        });
      }
      if (step.reduce() != StepOutcome::ready) break;
      optimizer->set_learning_rate(rate * schedule.factor(++t));
      step.apply(*optimizer, {.clip_norm = 3.0, .clip_value = 0.5, .loss_scaler = &scaler});
    }
    if (world.rank() == world.size() - 1) bytes = model.bytes();
  });
  return bytes;
}

}  // namespace

TEST_CASE("every rule ends with the same bits on 1, 2, 3, 4 and 8 ranks") {
  int thin_ranks = 2;
  for (const testing::NamedRule& rule : testing::all_rules()) {
    const std::string alone = trained(rule, 1, false);
    thin_ranks = 5 - thin_ranks;  // 3 and 2 in turn
    for (const int ranks : testing::thinned({2, 3, 4, 8}, {thin_ranks})) {
      CAPTURE(rule.name, ranks);
      REQUIRE((trained(rule, ranks, false) == alone));
    }
    if (testing::is_thin && rule.name != "adamw" && rule.name != "lamb") continue;
    CAPTURE(rule.name);
    REQUIRE((trained(rule, 4, true) == alone));  // accumulating twice on each of 4 ranks
  }
}

TEST_CASE("accumulate sets the leaves, and is refused where it does not agree with them") {
  run_ranks(3, [&](World& world) {
    Field<float> model({5});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.accumulate = 4});
    if (data_parallel.logical_shards() != 12) throw std::logic_error("not 12 leaves");
    for (const DataParallelOptions& options :
         {DataParallelOptions{.logical_shards = 8, .accumulate = 4}, DataParallelOptions{.accumulate = 3},
          DataParallelOptions{.accumulate = -2}, DataParallelOptions{.accumulate = 16384}}) {
      bool refused = false;
      try {
        DataParallel none(world.communicator(), model.parameters(), options);
      } catch (const Exception& refusal) {
        refused = refusal.error().code == ErrorCode::invalid_argument &&
                  refusal.error().message.find("accumulate") != std::string::npos;
      }
      if (!refused) throw std::logic_error("not refused: " + std::to_string(options.accumulate));
    }
  });
}
