// SPDX-License-Identifier: Apache-2.0
// TF_CONFIG, of Azure ML, of Vertex AI and of a TFJob: chief or master first, then the workers; ps are servers. An
// evaluator is not in the cluster.
#include "platform/cluster_map.hpp"
#include "platform/host_level.hpp"
#include "platform/launcher.hpp"
#include "platform/marks.hpp"
#include "trireme/base/error.hpp"

namespace trireme::platform {

bool tf_config_hosts_present(const Scene& scene) { return scene.environment.has("TF_CONFIG"); }

void describe_tf_config_hosts(const Scene& scene, ClusterSpec& spec) {
  const ClusterMap map(scene.environment.find("TF_CONFIG").value(), "TF_CONFIG");
  auto chiefs = map.tasks("chief");
  const auto masters = map.tasks("master"), others = map.tasks("worker");
  if (!chiefs.empty() && !masters.empty())
    fail(ErrorCode::invalid_argument, "TF_CONFIG: cluster has both chief and master; expected one of them");
  if (chiefs.empty()) chiefs = masters;
  auto tasks = chiefs;
  tasks.insert(tasks.end(), others.begin(), others.end());
  require_different_tasks(tasks, "TF_CONFIG: cluster");
  if (tasks.empty())
    fail(ErrorCode::invalid_argument, "TF_CONFIG: cluster has no worker; expected a list of chief or worker");

  HostPlace place{.rank_name = "TF_CONFIG: task.index", .count_name = "hosts"};
  place.index = map.index();
  place.hosts = hosts_of(tasks);
  place.servers = static_cast<int>(map.tasks("ps").size());
  const std::string& type = map.type();
  if (type == "chief" || type == "master" || type == "worker") {
    const bool first = type != "worker";
    map.require_index_below(first ? map.tasks(type).size() : others.size());
    place.index = map.index() + (first ? 0 : static_cast<int>(chiefs.size()));
    place.count = static_cast<int>(tasks.size());
    place.node_name = place.hosts[static_cast<std::size_t>(*place.index)];
  } else if (type == "ps" || type == "evaluator") {
    place.role = type == "ps" ? Role::server : Role::evaluator;
    const auto mine = hosts_of(map.tasks(type));
    if (type == "ps") map.require_index_below(mine.size());
    if (!mine.empty()) {
      map.require_index_below(mine.size());
      place.count = static_cast<int>(mine.size());
      place.node_name = mine[static_cast<std::size_t>(map.index())];
    }
  } else {
    fail(ErrorCode::invalid_argument,
         "TF_CONFIG: task.type=" + type + ": expected chief, master, worker, ps or evaluator");
  }
  place.master = tasks.front().host;
  place.port = scene.platform == "azureml" ? azure_port : tasks.front().port.value_or(default_port);
  place.port = find_port(scene.environment).value_or(place.port);
  describe_host(scene, place, spec);
}

}  // namespace trireme::platform
