// SPDX-License-Identifier: Apache-2.0
#include "platform/azure_meeting.hpp"

#include "platform/host_level.hpp"
#include "platform/host_port.hpp"

namespace trireme::platform {
namespace {

constexpr int port_of_batch = 6000;

std::optional<std::string> find_master(const Scene& scene) {
  if (auto given = scene.text("MASTER_ADDR")) return given;
  // Its port belongs to Batch.
  if (const auto node = scene.text("AZ_BATCH_MASTER_NODE")) return parse_host_port(*node, "AZ_BATCH_MASTER_NODE").host;
  for (const char* name : {"AZ_BATCHAI_MPI_MASTER_NODE", "AZ_BATCHAI_JOB_MASTER_NODE_IP"}) {
    if (auto node = scene.text(name)) return node;
  }
  const auto hosts = split_list(scene.text("AZ_BATCH_HOST_LIST").value_or(""), ',');
  if (!hosts.empty()) return hosts.front();
  return std::nullopt;
}

}  // namespace

AzureMeeting azure_meeting(const Scene& scene) {
  AzureMeeting meeting{.master = find_master(scene), .port = azure_port};
  if (meeting.master == "localhost") {
    meeting.local = !scene.text("MASTER_ADDR");
    meeting.master = "127.0.0.1";
  }
  if (const auto port = scene.environment.integer("MASTER_PORT", 1, 65535)) {
    meeting.port_replaced = *port == port_of_batch;
    if (!meeting.port_replaced) meeting.port = static_cast<std::uint16_t>(*port);
  }
  return meeting;
}

}  // namespace trireme::platform
