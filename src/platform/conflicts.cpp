// SPDX-License-Identifier: Apache-2.0
#include "platform/conflicts.hpp"

#include "trireme/base/error.hpp"

#include <limits>
#include <string_view>

namespace trireme::platform {
namespace {

/// What the set of marks says, if it is complete. Of an mpirun's, rank and size are enough to tell that it says otherwise.
std::optional<ClusterSpec> read_set(const Scene& scene, const Launcher& launcher) {
  if (!launcher.present(scene)) return std::nullopt;
  ClusterSpec spec;
  const std::string_view name = launcher.name;
  try {
    if (name == "openmpi" || name == "hydra") {
      constexpr int most = std::numeric_limits<int>::max();
      const auto rank = scene.environment.integer(launcher.rank_name, 0, most);
      const auto world = scene.environment.integer(launcher.count_name, 1, most);
      if (!rank || !world) return std::nullopt;
      spec.level = "process";
      spec.rank = *rank;
      spec.world = *world;
      return spec;
    }
    launcher.describe(scene, spec);
  } catch (const Exception&) {
    return std::nullopt;
  }
  return spec;
}

std::string say(const Launcher& launcher, int index, int count) {
  return std::string(launcher.rank_name) + "=" + std::to_string(index) + " of " + launcher.count_name + "=" +
         std::to_string(count);
}

/// Index and count as the set itself gives them.
std::pair<int, int> own_numbers(const ClusterSpec& spec) {
  if (spec.level != "node") return {spec.rank, spec.world};
  return {spec.node_rank.value_or(0), spec.nnodes.value_or(1)};
}

/// Where the platform numbers no hosts itself, RANK and WORLD_SIZE may as well be of ranks.
bool agree(const ClusterSpec& taken, const ClusterSpec& other, bool of_either) {
  if ((taken.level == other.level || of_either) && own_numbers(taken) == own_numbers(other)) return true;
  if (taken.level == "node" && other.level == "node") return false;
  // Ranks on hosts of which the other set has the list, or under tasks of which there is one per host.
  if (!taken.nnodes) return other.level == "node";
  const auto [index, count] = own_numbers(other);
  return count == *taken.nnodes && (!taken.node_rank || index == *taken.node_rank);
}

}  // namespace

void warn_of_conflicts(const Scene& scene, const Launcher& winner, ClusterSpec& spec) {
  if (std::string_view(winner.name) == "trireme") return;  // started from the list of hosts that it found
  const bool mpirun = std::string_view(winner.name) == "openmpi" || std::string_view(winner.name) == "hydra";
  for (const Launcher* other = &winner + 1; other != launchers().data() + launchers().size(); ++other) {
    if (std::string_view(other->name) == "none") continue;
    const auto told = read_set(scene, *other);
    if (!told || told->role != spec.role || agree(spec, *told, std::string_view(other->rank_name) == "RANK")) continue;
    // An mpirun starts its own helpers on other hosts with srun.
    if (mpirun && std::string_view(other->name) == "slurm" && told->world < spec.nnodes.value_or(spec.world)) continue;
    const auto [index, count] = own_numbers(spec);
    const auto [other_index, other_count] = own_numbers(*told);
    spec.warnings.push_back(say(winner, index, count) + " is taken, but there is also " +
                            say(*other, other_index, other_count) + "; unset the set that is not meant");
  }
}

}  // namespace trireme::platform
