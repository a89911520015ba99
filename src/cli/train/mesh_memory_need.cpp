// SPDX-License-Identifier: Apache-2.0
#include "cli/train/mesh_memory_need.hpp"

#include "cli/plan/memory.hpp"
#include "cli/train/setup.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace trireme::cli {
namespace {

std::uint64_t whole_bytes(double bytes) { return static_cast<std::uint64_t>(bytes); }

/// Of the replica with the largest block.
int most_leaves(int leaves, int replicas) {
  int most = 0;
  for (const layout::LeafBlock block : layout::leaf_blocks(leaves, replicas)) most = std::max(most, block.count);
  return most;
}

}  // namespace

std::vector<MemoryNeed> mesh_memory_need(std::span<const Parameter> shapes, const TrainOptions& options, int stage,
                                         int replicas, std::size_t samples) {
  const MemoryNeed whole = memory_need(shapes, options, 0, 1);
  const GptChoice& gpt = options.gpt;
  const pipeline::Schedule& schedule = options.mesh->schedule;
  const auto leaves = static_cast<std::size_t>(leaves_of(options, replicas));
  const int own_leaves = most_leaves(static_cast<int>(leaves), replicas);
  const std::size_t rows = (samples + leaves - 1) / leaves;  // of a pass at most
  PlanSetting setting{.model = gpt_size(static_cast<std::int64_t>(gpt.layers), static_cast<std::int64_t>(gpt.heads),
                                        static_cast<std::int64_t>(gpt.channels), static_cast<std::int64_t>(gpt.context),
                                        shapes.front().shape.front()),
                      .batch_size = static_cast<int>(std::min<std::size_t>(
                          rows * static_cast<std::size_t>(replicas * own_leaves), std::numeric_limits<int>::max())),
                      .widths = {.state = static_cast<double>(whole.state) / static_cast<double>(whole.parameters)},
                      .recompute = gpt.recompute};
  MeshChoice choice{.data = replicas,
                    .pipeline = options.mesh->ranks("pipeline"),
                    .tensor = options.mesh->ranks("tensor"),
                    .zero_stage = stage,
                    .micro_batches = schedule.micro_batches,
                    .leaves = own_leaves,
                    .layers = options.mesh->layers,
                    .sequence_parallel = options.mesh->sequence_parallel};
  for (int each = 0; options.mesh->layers.empty() && each < schedule.stages; ++each)  // a file's are any number
    choice.layers.push_back(
        layout::piece({0, gpt.layers}, static_cast<std::size_t>(schedule.stages), static_cast<std::size_t>(each))
            .size());
  std::vector<MemoryNeed> needs;
  for (const RankMemory& rank : memory_of_shares(setting, choice, schedule))
    needs.push_back({.parameters = whole_bytes(rank.parameters),
                     .values = whole_bytes(rank.values),
                     .gradients = whole_bytes(rank.gradients),
                     .state = whole_bytes(rank.optimizer_state),
                     .activations = whole_bytes(rank.activations + rank.messages)});
  return needs;
}

std::string mesh_memory_advice(std::span<const Parameter> shapes, const TrainOptions& options, int replicas,
                               std::size_t samples) {
  std::string text = "give --mesh more pipeline or tensor ranks (`trireme plan` tells which meshes fit)";
  if (options.zero == 0 && replicas > 1) {
    std::uint64_t most = 0;
    for (const MemoryNeed& need : mesh_memory_need(shapes, options, 1, replicas, samples))
      most = std::max(most, need.total());
    text += ", share out the optimizer's state with --zero 1 (at least " + std::to_string(most) + " bytes)";
  }
  if (!options.gpt.recompute) text += ", keep fewer activations with --recompute";
  if (!options.offload) text += ", or keep the optimizer's state on disk with --offload DIR";
  return text;
}

}  // namespace trireme::cli
