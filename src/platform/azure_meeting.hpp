// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace trireme::platform {

/// Where the ranks of an Azure ML job meet: MASTER_ADDR, else what Batch says of its nodes; MASTER_PORT, else 6105. Port
/// 6000 is Batch's own and never taken.
struct AzureMeeting {
  std::optional<std::string> master;
  std::uint16_t port = 0;
  bool local = false;          ///< the platform says "localhost": one node
  bool port_replaced = false;  ///< MASTER_PORT was Batch's
};
AzureMeeting azure_meeting(const Scene& scene);

}  // namespace trireme::platform
