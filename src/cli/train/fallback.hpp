// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/ps/fallback.hpp"
#include "trireme/world/server_directory.hpp"
#include "trireme/world/world.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace trireme::cli {

/// What servers of a job need to know that goes by all_reduce until a link is ill.
struct FallbackPlace {
  std::shared_ptr<ServerDirectory> directory;
  int leaves = 1;
  std::vector<Parameter> parameters;  ///< as they are reduced
  std::vector<std::string> row_sparse;
};

/// `--fallback ps`: servers beside those ranks whose links are all well, while one between two others is not; anew each time.
/// `world`, `options` and `optimizer` must outlive what is made of it.
ps::FallbackOptions fallback_options(World& world, const TrainOptions& options, FallbackPlace place,
                                     const Optimizer& optimizer);

/// "trireme train: behind step 12 gradients go by servers (--fallback ps): …".
std::string fallback_line(ps::GradientWay to, std::uint64_t step, const std::string& reason);

}  // namespace trireme::cli
