// SPDX-License-Identifier: Apache-2.0
// Several nodes of Azure ML without a distribution: Batch lists the hosts, and every node knows its index.
#include "platform/azure_meeting.hpp"
#include "platform/host_level.hpp"
#include "platform/host_port.hpp"
#include "platform/launcher.hpp"
#include "trireme/base/error.hpp"

#include <limits>

namespace trireme::platform {

bool azure_batch_hosts_present(const Scene& scene) {
  if (scene.platform != "azureml") return false;
  const auto count = scene.text("AZUREML_NODE_COUNT");
  return (count && *count != "1") || azure_hosts(scene).size() > 1;
}

void describe_azure_batch_hosts(const Scene& scene, ClusterSpec& spec) {
  constexpr int most = std::numeric_limits<int>::max();
  HostPlace place{.rank_name = "AZUREML_CR_NODE_RANK", .count_name = "AZUREML_NODE_COUNT"};
  place.hosts = azure_hosts(scene);
  require_different(place.hosts, "AZ_BATCH_HOST_LIST");
  place.count = scene.environment.integer("AZUREML_NODE_COUNT", 1, most);
  if (!place.count) place.count = static_cast<int>(place.hosts.size());
  if (!place.hosts.empty() && place.hosts.size() != static_cast<std::size_t>(*place.count))
    fail(ErrorCode::invalid_argument, "AZUREML_NODE_COUNT=" + std::to_string(*place.count) +
                                          ", but AZ_BATCH_HOST_LIST has " + std::to_string(place.hosts.size()) +
                                          " hosts; expected as many");
  place.index = scene.environment.integer("AZUREML_CR_NODE_RANK", 0, most);
  if (!place.index)
    fail(ErrorCode::invalid_argument, "AZUREML_NODE_COUNT=" + std::to_string(*place.count) +
                                          ", but AZUREML_CR_NODE_RANK is not set: expected the index of this node");
  const AzureMeeting meeting = azure_meeting(scene);
  place.master = meeting.master;
  place.port = meeting.port;
  if (place.hosts.size() > static_cast<std::size_t>(*place.index))
    place.node_name = place.hosts[static_cast<std::size_t>(*place.index)];
  describe_host(scene, place, spec);
}

}  // namespace trireme::platform
