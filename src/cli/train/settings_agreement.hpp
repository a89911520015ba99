// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/world/server_directory.hpp"

#include <string>
#include <utility>
#include <vector>

namespace trireme::cli {

/// The name among settings_of() of what rounding depends on of --mesh and --micro-batches.
inline constexpr const char* arithmetic_of_mesh = "arithmetic of --mesh";

/// What all ranks must have been told alike, flag by flag. Names of files and folders are not among it, as hosts may keep them
/// elsewhere, nor is what a rank may do alone (--trace).
std::vector<std::pair<std::string, std::string>> settings_of(const TrainOptions& options);

/// Ranks that do not mean the same training would wait for one another in different operations. Collective.
/// `content`: what the rank's data are (TrainingData::content()).
/// Errors: invalid_argument, alike on all ranks, naming the first flag that differs, or the data, a rank and both values.
void compare_settings(Communicator& communicator, const TrainOptions& options, const std::string& content);

/// The same of workers that share no communicator.
void compare_settings(ServerDirectory& directory, std::uint32_t worker, const TrainOptions& options,
                      const std::string& content);

}  // namespace trireme::cli
