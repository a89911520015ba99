// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/job_signals.hpp"
#include "cli/train/options.hpp"
#include "trireme/platform/cluster_spec.hpp"
#include "trireme/platform/environment.hpp"
#include "trireme/ps/server.hpp"
#include "trireme/world/server_directory.hpp"

#include <string>

namespace trireme::cli {

/// A server of a job with these flags, in a thread of a worker or as a process. What its `card` says is still to be published.
/// `plan`: null where no model is known, and the first worker's is taken.
ps::ServerOptions server_options(const TrainOptions& options, ServerDirectory& directory, std::uint32_t server,
                                 std::uint32_t servers, const JobShape& shape, std::shared_ptr<const ps::KeyPlan> plan);

/// What workers and servers must have been told alike, in a line: the rule and its settings, where servers have one.
std::string server_settings(const TrainOptions& options);

/// At the end of a server, which then has nothing to say any more: waits, for half a second at most, until all others have come to
/// it. Whoever closes first would be taken for lost by those that do not know yet.
void part_from_others(ServerDirectory& directory, std::uint32_t servers);

/// The role of a parameter server: serves until all workers have left, or nobody is there any more and none can come, then says on
/// stderr what it did. The exit code.
/// Errors: invalid_argument without --sync ps; those of ServerDirectory and ps::Server.
int serve_parameters(const TrainOptions& options, const platform::ClusterSpec& cluster,
                     const platform::Environment& environment, JobSignals& signals);

}  // namespace trireme::cli
