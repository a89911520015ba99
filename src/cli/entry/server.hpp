// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/cluster_spec.hpp"
#include "trireme/platform/environment.hpp"

namespace trireme::cli {

/// What a parameter server on a host of its own is started with: its number, and the store of the ranks, which the launcher of
/// the first worker's host serves. Of one worker's host it is at the job's meeting point; of several, whose launchers meet there, node
/// 0 says in their store where. Waits for that as long as ranks wait for each other.
/// Errors: invalid_argument when nothing names the first host; timeout naming where nobody answered.
platform::Environment server_environment_here(const platform::Environment& environment,
                                              const platform::ClusterSpec& spec);

}  // namespace trireme::cli
