// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/memory_need.hpp"
#include "cli/train/options.hpp"
#include "trireme/base/parameter.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace trireme::cli {

/// What a rank must have of a model that several have together, for every rank of the pipeline axis: by the formulas of `trireme plan`
/// (memory_of_shares), without buckets under way, of the replica that has the most leaves. `shapes`: of the whole model; `samples`: of a
/// batch at most.
std::vector<MemoryNeed> mesh_memory_need(std::span<const Parameter> shapes, const TrainOptions& options, int stage,
                                         int replicas, std::size_t samples);

/// What makes it less: "give --mesh more pipeline or tensor ranks …".
std::string mesh_memory_advice(std::span<const Parameter> shapes, const TrainOptions& options, int replicas,
                               std::size_t samples);

}  // namespace trireme::cli
