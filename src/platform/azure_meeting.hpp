// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::platform {

/// Where the ranks of an Azure ML job meet: MASTER_ADDR, else what Batch says of its nodes; MASTER_PORT, else 6105.
struct AzureMeeting {
  std::optional<std::string> master;
  std::uint16_t port = 0;
  bool local = false;  ///< the platform says "localhost": one node
};
AzureMeeting azure_meeting(const Scene& scene);

/// `port`; on Azure ML, where 6000 is Batch's own and never taken, 6105 in its place, with a warning.
std::uint16_t not_of_batch(const Scene& scene, std::uint16_t port, std::vector<std::string>& warnings);

/// The nodes as Batch lists them: AZ_BATCH_HOST_LIST with commas, else AZ_BATCH_NODE_LIST with semicolons.
std::vector<std::string> azure_hosts(const Scene& scene);

}  // namespace trireme::platform
