// SPDX-License-Identifier: Apache-2.0
// The library's own override: TRIREME_NNODES, TRIREME_NODE_RANK and TRIREME_MASTER=host:port. In an indexed Job of
// Kubernetes the platform gives the index.
#include "platform/host_level.hpp"
#include "platform/host_port.hpp"
#include "platform/launcher.hpp"
#include "trireme/base/error.hpp"

#include <limits>

namespace trireme::platform {

bool explicit_hosts_present(const Scene& scene) {
  const Environment& environment = scene.environment;
  if (environment.has("TRIREME_NODE_RANK") || environment.has("TRIREME_MASTER")) return true;
  return environment.has("TRIREME_NNODES") && !indexed_job_hosts_present(scene);
}

void describe_explicit_hosts(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  HostPlace place{.rank_name = "TRIREME_NODE_RANK", .count_name = "TRIREME_NNODES"};
  place.count = environment.integer("TRIREME_NNODES", 1, std::numeric_limits<int>::max());
  place.index = environment.integer("TRIREME_NODE_RANK", 0, std::numeric_limits<int>::max());
  if (!place.count)
    fail(ErrorCode::invalid_argument, std::string(place.index ? "TRIREME_NODE_RANK" : "TRIREME_MASTER") +
                                          " is set but TRIREME_NNODES is not: TRIREME_NNODES, TRIREME_NODE_RANK and "
                                          "TRIREME_MASTER=host:port go together");
  if (!place.index) place.index = environment.integer("JOB_COMPLETION_INDEX", 0, std::numeric_limits<int>::max());
  if (!place.index && *place.count == 1) place.index = 0;
  const auto master = environment.find("TRIREME_MASTER");
  for (const auto& [name, there] : {std::pair{"TRIREME_NODE_RANK", place.index.has_value()},
                                    std::pair{"TRIREME_MASTER", master.has_value() || *place.count == 1}}) {
    if (!there)
      fail(ErrorCode::invalid_argument, "TRIREME_NNODES=" + std::to_string(*place.count) + " is set but " + name +
                                            " is not: TRIREME_NNODES, TRIREME_NODE_RANK and TRIREME_MASTER=host:port "
                                            "go together");
  }
  if (master) {
    const HostPort address = parse_host_port(*master, "TRIREME_MASTER");
    place.master = address.host;
    place.port = address.port.value_or(default_port);
  }
  describe_host(scene, place, spec);
}

}  // namespace trireme::platform
