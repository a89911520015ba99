// SPDX-License-Identifier: Apache-2.0
#include "platform/host_level.hpp"

#include "platform/azure_meeting.hpp"
#include "platform/marks.hpp"
#include "platform/visible_gpus.hpp"
#include "trireme/base/error.hpp"

#include <limits>

namespace trireme::platform {

void describe_host(const Scene& scene, const HostPlace& place, ClusterSpec& spec) {
  if (place.index && place.count) require_below(place.rank_name, *place.index, place.count_name, *place.count);
  const LocalProcesses processes = local_processes(scene);
  spec.level = "node";
  spec.role = place.role;
  spec.node_rank = place.index;
  spec.nnodes = place.count;
  spec.local_rank = 0;
  spec.local_world = processes.count;
  spec.node_name = place.node_name;
  spec.hosts = place.hosts;
  spec.servers = place.servers;
  const bool worker = place.role == Role::worker;
  const int hosts = place.count.value_or(1);
  spec.ranks_known = worker && place.index && place.count && (hosts == 1 || processes.told || place.alike);
  if (worker) {
    if (hosts > std::numeric_limits<int>::max() / processes.count)
      fail(ErrorCode::invalid_argument, place.count_name + "=" + std::to_string(hosts) + " with " +
                                            std::to_string(processes.count) +
                                            " processes each: more than can be counted");
    spec.rank = place.index.value_or(0) * processes.count;
    spec.world = hosts * processes.count;
  } else {
    spec.local_world = 1;  // nothing is shared among several of them
  }
  if (!place.master && hosts > 1)
    fail(ErrorCode::invalid_argument, place.count_name + "=" + std::to_string(hosts) +
                                          ", but MASTER_ADDR is not set: the hosts cannot find each other without it");
  if (!place.master) return;
  spec.master = place.master;
  spec.port = not_of_batch(scene, place.port, spec.warnings);
  spec.store_host = spec.master;
  spec.store_port = spec.port;
}

}  // namespace trireme::platform
