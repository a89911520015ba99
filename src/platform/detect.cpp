// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <string>
#include <utility>

namespace trireme::platform {
namespace {

/// RANK and its set decide over mpirun's; where the two differ, one of them was not meant.
void warn_of_other_ranks(const Environment& environment, ClusterSpec& spec) {
  for (const auto& [rank, size] :
       {std::pair{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, std::pair{"PMI_RANK", "PMI_SIZE"}}) {
    const auto other_rank = environment.find(rank), other_size = environment.find(size);
    if (!other_rank || !other_size) continue;
    if (*other_rank == std::to_string(spec.rank) && *other_size == std::to_string(spec.world)) continue;
    spec.warnings.push_back("RANK=" + std::to_string(spec.rank) + " of WORLD_SIZE=" + std::to_string(spec.world) +
                            " is taken, but mpirun says " + rank + "=" + *other_rank + " of " + size + "=" +
                            *other_size + "; unset the set that is not meant");
  }
}

}  // namespace

std::string_view name_of(Role role) {
  switch (role) {
    case Role::worker: return "worker";
    case Role::server: return "server";
    case Role::evaluator: return "evaluator";
  }
  return "unknown";
}

ClusterSpec detect(const Environment& environment, const DetectOptions&) {
  ClusterSpec spec;
  for (const Launcher& launcher : launchers()) {
    if (!launcher.present(environment)) continue;
    spec.launcher = launcher.name;
    launcher.describe(environment, spec);
    if (environment.has("RANK")) warn_of_other_ranks(environment, spec);
    break;
  }
  return spec;
}

}  // namespace trireme::platform
