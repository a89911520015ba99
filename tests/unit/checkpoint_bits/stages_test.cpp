// SPDX-License-Identifier: Apache-2.0
// Training that stops at one stage of ZeRO and goes on at another, in another world, ends with the bits of training that
// nothing disturbed.
#include "memory_files.hpp"
#include "support/require.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/checkpoint/training_parts.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/lamb.hpp"
#include "unit/parallel/zero_field.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <optional>

using namespace trireme;
using namespace trireme::testing;

namespace {

/// Goes on from the last save behind as many steps as there have been, and saves behind step `until`. The weights then.
std::string go_on(const ZeroWay& way, checkpoint::FileSystem& files, const MakeOptimizer& make, std::uint64_t until) {
  std::vector<std::string> weights(static_cast<std::size_t>(way.ranks));
  run_ranks(way.ranks, [&](World& world) {
    MixedField model(mixed_parameters());
    const auto optimizer = make();
    DataParallel data_parallel(world.communicator(), model.parameters(), way.options());
    DistributedSampler sampler({.count = 37, .global_batch = 10, .seed = 5});
    std::uint64_t done = 0;

    checkpoint::ParameterState values(model.parameters());
    checkpoint::OptimizerState state_of_optimizer(*optimizer, data_parallel.ownership());
    checkpoint::SamplerState place(sampler);
    checkpoint::CounterState counters{{"step", done}};
    const checkpoint::TrainingState state{
        {"model", values}, {"optimizer", state_of_optimizer}, {"sampler", place}, {"loop", counters}};

    auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = "/job"});
    const auto manifest = folder.resume(state);
    checkpoint::Saver saver(folder, {}, manifest);
    while (done < until) {
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) {
          for (std::size_t p = model.parameters().size(); p-- > 0;) {
            model.backward(p, shard.samples(), 1.0, model.parameters()[p].gradient);
            shard.ready(p);
          }
        }
        step.reduce();
        step.apply(*optimizer, {.clip_norm = 3.0});
        if (++done == until) break;
      }
    }
    saver.save(done, state);
    const auto report = saver.finish();
    require(report && report->is_complete, "the save is complete");
    weights[static_cast<std::size_t>(world.rank())] = model.bytes();
  });
  for (const std::string& each : weights) require(each == weights.front(), "all ranks have the same weights");
  return weights.front();
}

}  // namespace

TEST_CASE("checkpoints are taken at any stage of ZeRO and go on at any other, in another world, with the same bits") {
  const MakeOptimizer rules[]{make_decaying_adamw, [] {
                                return std::make_unique<Lamb>(LambOptions{.learning_rate = 0.02, .weight_decay = 0.1});
                              }};
  for (const MakeOptimizer& make : rules) {
    MemoryFiles alone, moving;
    const std::string expected = go_on({}, alone, make, 10);
    go_on({.ranks = 4, .stage = 1}, moving, make, 2);
    go_on({.ranks = 3, .stage = 2}, moving, make, 3);
    go_on({.ranks = 2, .stage = 0}, moving, make, 5);
    go_on({.ranks = 4, .stage = 1, .group = 2}, moving, make, 7);
    go_on({.ranks = 2, .stage = 2, .assignment = LeafAssignment::cyclic}, moving, make, 9);
    REQUIRE((go_on({.ranks = 1, .stage = 1}, moving, make, 10) == expected));
  }
}
