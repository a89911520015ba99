// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/entry/command.hpp"
#include "trireme/platform/environment.hpp"

#include <chrono>

namespace trireme::cli {

/// SageMaker's description of the hosts may come after the container's start: waits until it is there and whole, if its tree is
/// there and nothing else tells the ranks.
void await_description(const platform::Environment& environment, std::chrono::seconds limit);

/// Trains on this host as the cluster is described: one process per rank of this host under the launcher of `trireme run`, or this
/// process where every rank has its own already. The exit code, unless this process has become the training program.
/// Parameter servers and evaluators are one process without a rank.
/// Errors: as platform::detect, run_job and server_environment_here.
int train_here(const EntryOptions& options, const platform::Environment& environment);

/// Becomes a program; its exit code as a shell's where that cannot be, after a line that says why.
int become(const std::vector<std::string>& command, const platform::Environment& environment);

}  // namespace trireme::cli
