// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "chain.hpp"
#include "trireme/pipeline/check.hpp"
#include "trireme/pipeline/runtime.hpp"
#include "trireme/world/world.hpp"

#include <cstring>
#include <memory>
#include <vector>

namespace trireme::testing {

inline bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

/// The stages of a rank.
inline std::vector<std::unique_ptr<ChainStage>> stages_here(const Chain& chain, const pipeline::ScheduleFacts& facts,
                                                            int rank, bool splits = true) {
  std::vector<std::unique_ptr<ChainStage>> stages;
  for (const int stage : facts.stages_of(rank))
    stages.push_back(
        std::make_unique<ChainStage>(chain, stage, facts.peak_of_stage[static_cast<std::size_t>(stage)], splits));
  return stages;
}
inline std::vector<pipeline::Stage*> pointers(const std::vector<std::unique_ptr<ChainStage>>& stages) {
  std::vector<pipeline::Stage*> result;
  for (const auto& stage : stages) result.push_back(stage.get());
  return result;
}

/// Whether this rank's part of the gradients is that of the chain in one piece.
inline bool has_chain_gradient(World& world, const pipeline::Schedule& schedule, const Chain& chain, int steps,
                               const std::vector<double>& expected) {
  const pipeline::ScheduleFacts facts = pipeline::check(schedule);
  const auto stages = stages_here(chain, facts, world.rank());
  pipeline::Runtime runtime(world.communicator(), schedule, pointers(stages), {.boundaries = chain.boundaries()});
  for (int step = 0; step < steps; ++step) runtime.run();
  const std::vector<int> numbers = facts.stages_of(world.rank());
  bool all = true;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    std::size_t begin = 0;
    for (std::size_t layer = 0; layer < chain.first_layer(numbers[i]); ++layer)
      begin += chain.width(layer) * chain.width(layer + 1);
    const std::vector<double> mine = stages[i]->gradient();
    all = all && same_bits(mine, {expected.begin() + static_cast<std::ptrdiff_t>(begin),
                                  expected.begin() + static_cast<std::ptrdiff_t>(begin + mine.size())});
  }
  return all;
}

}  // namespace trireme::testing
