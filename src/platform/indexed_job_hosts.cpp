// SPDX-License-Identifier: Apache-2.0
// An indexed Job of Kubernetes: the platform numbers the pods, the manifest says how many there are and where the first is.
#include "platform/host_level.hpp"
#include "platform/launcher.hpp"
#include "platform/marks.hpp"

#include <limits>

namespace trireme::platform {

bool indexed_job_hosts_present(const Scene& scene) {
  const Environment& environment = scene.environment;
  return environment.has("JOB_COMPLETION_INDEX") && environment.has("TRIREME_NNODES") &&
         !environment.has("TRIREME_NODE_RANK") && !environment.has("TRIREME_MASTER");
}

void describe_indexed_job_hosts(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  HostPlace place{.rank_name = "JOB_COMPLETION_INDEX", .count_name = "TRIREME_NNODES"};
  place.index = environment.integer(place.rank_name, 0, std::numeric_limits<int>::max());
  place.count = environment.integer(place.count_name, 1, std::numeric_limits<int>::max());
  place.master = scene.text("MASTER_ADDR");
  place.port = find_port(scene.environment).value_or(place.port);
  describe_host(scene, place, spec);
}

}  // namespace trireme::platform
