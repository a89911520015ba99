// SPDX-License-Identifier: Apache-2.0
// Whether the planner's memory of a rank of a mesh is what MeshGpt and the optimizer ask for.
#include "bench/zero/live_heap.hpp"
#include "cli/plan/memory.hpp"
#include "trireme/models/mesh_gpt.hpp"
#include "trireme/optim/adam.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/parallel/mesh.hpp"
#include "trireme/pipeline/generate.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::cli;

namespace {

struct MeshCase {
  std::vector<MeshAxis> axes;
  const char* schedule = "1f1b";
  int micro_batches = 4;
  int chunks = 1;
  std::vector<std::size_t> layers{};
  bool recompute = false;
  bool sequence_parallel = false;
};

constexpr std::size_t blocks = 4, heads = 4, context = 32, vocabulary = 500, rows = 8;

int ranks_of(const MeshCase& mesh, const std::string& name) {
  for (const MeshAxis& axis : mesh.axes)
    if (axis.name == name) return axis.size;
  return 1;
}

pipeline::Schedule schedule_of(const MeshCase& mesh) {
  return pipeline::make_schedule(
      mesh.schedule, {.ranks = ranks_of(mesh, "pipeline"), .micro_batches = mesh.micro_batches, .chunks = mesh.chunks});
}

std::vector<RankMemory> predicted(const MeshCase& mesh, std::size_t channels) {
  const PlanSetting setting{.model = gpt_size(blocks, heads, static_cast<std::int64_t>(channels), context, vocabulary),
                            .batch_size = static_cast<int>(rows),
                            .widths = {4, 4, 8},
                            .recompute = mesh.recompute};
  const MeshChoice choice{.pipeline = ranks_of(mesh, "pipeline"),
                          .tensor = ranks_of(mesh, "tensor"),
                          .micro_batches = mesh.micro_batches,
                          .chunks = mesh.chunks,
                          .layers = mesh.layers,
                          .sequence_parallel = mesh.sequence_parallel};
  return memory_of_shares(setting, choice, schedule_of(mesh));
}

/// What a rank has asked of the heap after two steps, with the books of communicators, which know no channels.
struct Held {
  int stage = 0;
  double bytes = 0;
};

std::vector<Held> held(const MeshCase& mesh, std::size_t channels) {
  std::vector<Held> all(static_cast<std::size_t>(ranks_of(mesh, "pipeline") * ranks_of(mesh, "tensor")));
  testing::run_ranks(static_cast<int>(all.size()), [&](World& world) {
    const Mesh grid(world.communicator(), mesh.axes);
    const std::vector<std::uint16_t> tokens(rows * (context + 1), 7);
    const std::int64_t before = bench::live_heap_bytes();
    models::MeshGpt<float> model(grid.axis("tensor"), grid.axis("pipeline"),
                                 {.gpt = {.vocabulary = vocabulary,
                                          .context = context,
                                          .layers = blocks,
                                          .heads = heads,
                                          .channels = channels,
                                          .recompute = mesh.recompute},
                                  .schedule = schedule_of(mesh),
                                  .micro_batch_rows = rows / static_cast<std::size_t>(mesh.micro_batches),
                                  .layers = mesh.layers,
                                  .sequence_parallel = mesh.sequence_parallel});
    DataParallel data_parallel(grid.axis("data"), model.parameters());
    Adam adam({});
    int steps = 0;
    for (auto& step : data_parallel.steps()) {
      for (auto& shard : step.shards()) model.forward_backward(tokens, rows, [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      step.apply(adam);
      if (++steps == 2) break;
    }
    all[static_cast<std::size_t>(world.rank())] = {grid.coordinate("pipeline"),
                                                   static_cast<double>(bench::live_heap_bytes() - before)};
  });
  return all;
}

}  // namespace

TEST_CASE("what the planner says a rank of a mesh holds is what it asks of the heap") {
  const std::vector<MeshCase> cases{
      {.axes = {{"data", 1}, {"pipeline", 2}, {"tensor", 1}}},
      {.axes = {{"data", 1}, {"pipeline", 2}, {"tensor", 2}}, .schedule = "gpipe"},
      {.axes = {{"data", 1}, {"pipeline", 2}, {"tensor", 1}}, .schedule = "zb-h1", .layers = {3, 1}},
      {.axes = {{"data", 1}, {"pipeline", 2}, {"tensor", 1}}, .schedule = "zb-v", .chunks = 2},
      {.axes = {{"data", 1}, {"pipeline", 2}, {"tensor", 1}},
       .schedule = "interleaved",
       .chunks = 2,
       .recompute = true},
      {.axes = {{"data", 1}, {"pipeline", 1}, {"tensor", 2}}, .micro_batches = 1},
      {.axes = {{"data", 1}, {"pipeline", 1}, {"tensor", 4}}, .micro_batches = 2, .sequence_parallel = true},
      {.axes = {{"data", 1}, {"pipeline", 1}, {"tensor", 1}}, .micro_batches = 8, .recompute = true},
  };
  constexpr std::size_t narrow = 16, wide = 128;
  if (!bench::counts_heap()) return;
  for (const MeshCase& mesh : cases) {
    const std::vector<Held> least = held(mesh, narrow), most = held(mesh, wide);
    for (std::size_t rank = 0; rank < most.size(); ++rank) {
      const auto stage = static_cast<std::size_t>(most[rank].stage);
      const RankMemory said = predicted(mesh, wide).at(stage), of_narrow = predicted(mesh, narrow).at(stage);
      // Messages are in the arena.
      const double expected = (said.total() - said.messages) - (of_narrow.total() - of_narrow.messages);
      const double found = most[rank].bytes - least[rank].bytes;
      CAPTURE(mesh.schedule, mesh.micro_batches, stage, found, expected, said.values, said.gradients,
              said.optimizer_state, said.activations);
      CHECK(found > 0.99 * expected);
      CHECK(found < 1.01 * expected);
    }
  }
}
