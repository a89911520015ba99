// SPDX-License-Identifier: Apache-2.0
#include "platform/azure_meeting.hpp"

#include "platform/host_level.hpp"
#include "platform/host_port.hpp"
#include "platform/marks.hpp"

namespace trireme::platform {
namespace {

constexpr std::uint16_t port_of_batch = 6000;

std::optional<std::string> find_master(const Scene& scene) {
  if (auto given = scene.text("MASTER_ADDR")) return given;
  // Its port belongs to Batch.
  if (const auto node = scene.text("AZ_BATCH_MASTER_NODE")) return parse_host_port(*node, "AZ_BATCH_MASTER_NODE").host;
  for (const char* name : {"AZ_BATCHAI_MPI_MASTER_NODE", "AZ_BATCHAI_JOB_MASTER_NODE_IP"}) {
    if (auto node = scene.text(name)) return node;
  }
  const auto hosts = azure_hosts(scene);
  if (!hosts.empty()) return hosts.front();
  return std::nullopt;
}

}  // namespace

std::vector<std::string> azure_hosts(const Scene& scene) {
  if (const auto list = scene.text("AZ_BATCH_HOST_LIST")) return split_list(*list, ',');
  return split_list(scene.text("AZ_BATCH_NODE_LIST").value_or(""), ';');
}

AzureMeeting azure_meeting(const Scene& scene) {
  AzureMeeting meeting{.master = find_master(scene), .port = find_port(scene.environment).value_or(azure_port)};
  if (meeting.master == "localhost") {
    meeting.local = !scene.text("MASTER_ADDR");
    meeting.master = "127.0.0.1";
  }
  return meeting;
}

std::uint16_t not_of_batch(const Scene& scene, std::uint16_t port, std::vector<std::string>& warnings) {
  if (scene.platform != "azureml" || port != port_of_batch) return port;
  warnings.push_back("port " + std::to_string(port_of_batch) + " is Azure Batch's: the ranks meet at " +
                     std::to_string(azure_port) + " instead");
  return azure_port;
}

}  // namespace trireme::platform
