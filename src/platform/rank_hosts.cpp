// SPDX-License-Identifier: Apache-2.0
// RANK and WORLD_SIZE without LOCAL_RANK number hosts. On Azure ML, which numbers processes, they are half a set.
#include "platform/host_level.hpp"
#include "platform/launcher.hpp"
#include "platform/marks.hpp"
#include "trireme/base/error.hpp"

#include <limits>

namespace trireme::platform {

bool rank_hosts_present(const Scene& scene) {
  const Environment& environment = scene.environment;
  if (environment.has("LOCAL_RANK") || environment.has("PET_NODE_RANK")) return false;
  return environment.has("RANK") && environment.has("WORLD_SIZE");
}

void describe_rank_hosts(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  if (scene.platform == "azureml")
    fail(ErrorCode::invalid_argument,
         "RANK=" + *environment.find("RANK") +
             " is set but LOCAL_RANK is not: Azure ML sets RANK, WORLD_SIZE and LOCAL_RANK for every process");
  constexpr int most = std::numeric_limits<int>::max();
  HostPlace place{.rank_name = "RANK", .count_name = "WORLD_SIZE"};
  place.index = environment.integer("RANK", 0, most);
  place.count = environment.integer("WORLD_SIZE", 1, most);
  place.master = scene.text("MASTER_ADDR");
  place.port = find_port(scene.environment).value_or(place.port);
  describe_host(scene, place, spec);
}

}  // namespace trireme::platform
