// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/failure_note.hpp"
#include "cli/run/options.hpp"
#include "cli/run/outcome.hpp"
#include "trireme/platform/environment.hpp"

#include <optional>
#include <string>

namespace trireme::cli {

/// What the platform tells a launcher beside its options.
struct Surroundings {
  FailurePlaces failure{};
  std::optional<std::string> interface {};
  std::string job_id{};  ///< equal on all hosts of one start of a job; empty: not known
};

/// Starts the ranks of this host, meets the launchers of the others where there are any, and returns the exit code when all have
/// ended. Why the job failed, if it did, is left where the platform looks.
/// Errors: invalid_argument naming flag or variable; as Nodes::meet.
int run_job(const RunOptions& options, const platform::Environment& environment, const Surroundings& surroundings);

/// Why the job failed, the cause first: what the rank at fault said last, where it ended by itself, then how it ended.
std::string cause_of(const Outcome& outcome);

}  // namespace trireme::cli
