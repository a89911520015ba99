// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/plan/predict.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

struct Plan {
  MeshChoice choice{};
  PlanPrediction prediction{};
};

/// What a search found.
struct PlanSearch {
  std::vector<Plan> plans;                      ///< those that fit, the shortest step first
  std::map<std::string, std::size_t> left_out;  ///< how many choices each reason leaves out
  std::optional<Plan> closest{};                ///< where none fits: which needs least memory
};

/// Every data x pipeline x tensor of the world, with every schedule (interleaved with 2 stages a rank), every stage of ZeRO where
/// there are several data ranks (3 where they have all of the model), and `micro_batches`, or where that is 0 each power of two up to 256 for which there are samples.
/// Order: by predicted step, then memory, then as enumerated: the same on every machine.
PlanSearch search_plans(const PlanSetting& setting, int micro_batches);

}  // namespace trireme::cli
