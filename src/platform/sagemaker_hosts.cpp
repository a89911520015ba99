// SPDX-License-Identifier: Apache-2.0
// SageMaker's resourceconfig.json: hosts in the order of its list, which is sorted as text (algo-10 behind algo-1).
#include "platform/group_roles.hpp"
#include "platform/host_level.hpp"
#include "platform/launcher.hpp"
#include "platform/marks.hpp"
#include "platform/sagemaker_files.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <set>

namespace trireme::platform {
namespace {

const ResourceConfig::Group* group_of(const ResourceConfig& config, const std::string& host) {
  for (const auto& group : config.groups) {
    if (std::find(group.hosts.begin(), group.hosts.end(), host) != group.hosts.end()) return &group;
  }
  return nullptr;
}

/// The hosts of one role, in the order of all.
std::vector<std::string> hosts_with(Role role, const ResourceConfig& config, const std::map<std::string, Role>& roles,
                                    std::set<std::string>& instance_types) {
  std::vector<std::string> hosts;
  for (const std::string& host : config.hosts) {
    const auto* group = group_of(config, host);
    const auto found = group == nullptr ? roles.end() : roles.find(group->name);
    if ((found == roles.end() ? Role::worker : found->second) != role) continue;
    hosts.push_back(host);
    instance_types.insert(group == nullptr ? "" : group->instance_type);
  }
  return hosts;
}

}  // namespace

bool sagemaker_hosts_present(const Scene& scene) { return is_sagemaker(scene); }

void describe_sagemaker_hosts(const Scene& scene, ClusterSpec& spec) {
  const std::string file = SagemakerTree(scene).resource_config();
  const auto config = read_resource_config(scene);
  if (!config) {
    const auto job = scene.text("TRAINING_JOB_NAME");
    fail(ErrorCode::invalid_argument,
         file + " is not there: expected it to list the hosts of the training job" + (job ? " " + *job : ""));
  }
  const auto roles = group_roles(scene.environment, *config);
  std::set<std::string> types, ignored;
  const auto workers = hosts_with(Role::worker, *config, roles, types);
  if (workers.empty())
    fail(ErrorCode::invalid_argument, "TRIREME_GROUP_ROLES=" + scene.text("TRIREME_GROUP_ROLES").value_or("") +
                                          ": no instance group is left to be workers");
  HostPlace place{.rank_name = file + ": current_host", .count_name = "hosts"};
  const auto* group = group_of(*config, config->current_host);
  if (group != nullptr && roles.count(group->name) != 0) place.role = roles.at(group->name);
  const auto mine = place.role == Role::worker ? workers : hosts_with(place.role, *config, roles, ignored);
  place.index = static_cast<int>(std::find(mine.begin(), mine.end(), config->current_host) - mine.begin());
  place.count = static_cast<int>(mine.size());
  place.hosts = workers;
  place.servers = static_cast<int>(hosts_with(Role::server, *config, roles, ignored).size());
  place.master = workers.front();
  place.port = sagemaker_port;
  place.port = find_port(scene.environment).value_or(place.port);
  place.node_name = config->current_host;
  place.alike = types.size() == 1;
  describe_host(scene, place, spec);
}

}  // namespace trireme::platform
