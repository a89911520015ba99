// SPDX-License-Identifier: Apache-2.0
#include "cli/plan/mesh_sizes.hpp"

#include <cmath>

namespace trireme::cli {

MeshSizes::MeshSizes(const PlanSetting& setting, const MeshChoice& choice) : model_(setting.model), choice_(choice) {
  const auto heads = static_cast<double>(model_.heads);
  share_ = std::ceil(heads / choice.tensor) / heads;
  const int leaves = choice.data * choice.leaves;
  const int rows_of_pass = (setting.batch_size + leaves - 1) / leaves;
  const int rows = (rows_of_pass + choice.micro_batches - 1) / choice.micro_batches;
  tokens_ = static_cast<double>(rows) * static_cast<double>(model_.context);
  activation_ = static_cast<double>(size_of(setting.dtype));
  boundary_ = tokens_ * static_cast<double>(model_.channels) * activation_;
  table_ = std::ceil(static_cast<double>(model_.vocabulary) / choice.tensor) * static_cast<double>(model_.channels);
}

StageSize MeshSizes::stage(int number) const {
  const int all = stages();
  const auto begin = number * model_.layers / all, end = (number + 1) * model_.layers / all;
  const std::int64_t layers = choice_.layers.empty()
                                  ? end - begin
                                  : static_cast<std::int64_t>(choice_.layers[static_cast<std::size_t>(number)]);
  return {.layers = layers, .is_first = number == 0, .is_last = number + 1 == all};
}

RankStages MeshSizes::of_rank(const pipeline::ScheduleFacts& facts, int rank) const {
  RankStages all;
  for (const int number : facts.stages_of(rank)) {
    const StageSize size = stage(number);
    all.layers += size.layers;
    all.has_first = all.has_first || size.is_first;
    all.has_last = all.has_last || size.is_last;
  }
  return all;
}

double MeshSizes::outer_parameters(const RankStages& rank) const {
  return (rank.has_first || rank.has_last ? table_ : 0) + (rank.has_first ? model_.positions() : 0) +
         (rank.has_last ? model_.final_norm() : 0);
}

double MeshSizes::parameters(const RankStages& rank) const {
  return static_cast<double>(rank.layers) * layer_parameters() + outer_parameters(rank);
}

}  // namespace trireme::cli
