// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/server_session.hpp"
#include "trireme/platform/cluster_spec.hpp"
#include "trireme/platform/environment.hpp"
#include "trireme/world/server_directory.hpp"
#include "trireme/world/world.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace trireme::cli {

// How a process that trains beside parameter servers comes to its place among the workers, and to the directory of servers.

WorkerPlace place_of(const platform::ClusterSpec& cluster);
WorkerPlace place_in(const World& world);

/// Of a worker whose world is open. Alone, it meets itself.
std::shared_ptr<ServerDirectory> directory_beside(const World& world, const platform::ClusterSpec& cluster,
                                                  const platform::Environment& environment);
/// Of one that shares no world with others; takes the job key out of the process's environment.
/// Errors: invalid_argument for a process that is none of a numbered set.
std::shared_ptr<ServerDirectory> directory_of_independent(const platform::ClusterSpec& cluster,
                                                          const platform::Environment& environment);

/// Of independent workers all but the first leave to it what is done once: checkpoints, evaluation, the trained model. The step of the
/// newest checkpoint, behind which all go on; nothing where there is none.
std::optional<std::uint64_t> leave_to_the_first(TrainOptions& options);

}  // namespace trireme::cli
