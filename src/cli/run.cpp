// SPDX-License-Identifier: Apache-2.0
#include "cli/failure_note.hpp"
#include "cli/run/run_job.hpp"
#include "cli/subcommand.hpp"

namespace trireme::cli {

int run(const Invocation& invocation) {
  const auto options = parse_run_options(invocation.arguments);
  if (!options) return 0;
  scrub_secret_variables(invocation.environment);  // ranks get theirs from the copy
  Surroundings surroundings;
  if (const auto spec = cluster_here(invocation.environment))
    surroundings = {failure_places(*spec), spec->interface, {}};
  return run_job(*options, invocation.environment, surroundings);
}

}  // namespace trireme::cli
