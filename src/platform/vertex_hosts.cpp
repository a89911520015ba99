// SPDX-License-Identifier: Apache-2.0
// Vertex AI's CLUSTER_SPEC: pool 0 is the primary replica, pool 1 the other workers, pool 2 servers, pool 3 evaluators.
#include "platform/cluster_map.hpp"
#include "platform/host_level.hpp"
#include "platform/launcher.hpp"
#include "platform/marks.hpp"
#include "trireme/base/error.hpp"

namespace trireme::platform {

bool vertex_hosts_present(const Scene& scene) { return scene.environment.has("CLUSTER_SPEC"); }

void describe_vertex_hosts(const Scene& scene, ClusterSpec& spec) {
  const ClusterMap map(scene.environment.find("CLUSTER_SPEC").value(), "CLUSTER_SPEC");
  const auto primary = map.tasks("workerpool0"), others = map.tasks("workerpool1");
  if (primary.size() != 1)
    fail(ErrorCode::invalid_argument,
         "CLUSTER_SPEC: cluster.workerpool0 has " + std::to_string(primary.size()) + " hosts; expected one");
  auto tasks = primary;
  tasks.insert(tasks.end(), others.begin(), others.end());
  require_different_tasks(tasks, "CLUSTER_SPEC: cluster");
  const auto workers = hosts_of(tasks);

  HostPlace place{.rank_name = "CLUSTER_SPEC: task.index", .count_name = "hosts"};
  place.index = map.index();
  place.hosts = workers;
  place.servers = static_cast<int>(map.tasks("workerpool2").size());
  if (map.type() == "workerpool0" || map.type() == "workerpool1") {
    const bool first = map.type() == "workerpool0";
    map.require_index_below(first ? primary.size() : others.size());
    place.index = map.index() + (first ? 0 : static_cast<int>(primary.size()));
    place.count = static_cast<int>(workers.size());
    place.node_name = workers[static_cast<std::size_t>(*place.index)];
  } else if (map.type() == "workerpool2" || map.type() == "workerpool3") {
    place.role = map.type() == "workerpool2" ? Role::server : Role::evaluator;
    if (const auto mine = hosts_of(map.tasks(map.type())); !mine.empty()) {
      map.require_index_below(mine.size());
      place.count = static_cast<int>(mine.size());
      place.node_name = mine[static_cast<std::size_t>(map.index())];
    }
  } else {
    fail(ErrorCode::invalid_argument,
         "CLUSTER_SPEC: task.type=" + map.type() + ": expected workerpool0, workerpool1, workerpool2 or workerpool3");
  }
  place.master = primary.front().host;
  place.port = primary.front().port.value_or(default_port);
  place.port = find_port(scene.environment).value_or(place.port);
  describe_host(scene, place, spec);
}

}  // namespace trireme::platform
