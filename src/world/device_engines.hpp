// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/device_engine.hpp"
#include "world/peer_card.hpp"
#include "world/settings.hpp"

#include <optional>
#include <span>
#include <string>

namespace trireme {

/// What this rank's card says of its device and of the NCCL that it would use; empty: it has none.
std::optional<std::string> device_card(const Settings& settings);

/// Who serves a rank's device.
struct DeviceChoice {
  comm::DeviceOptions options;
  bool rings = true;  ///< as comm::ContextOptions::engine_rings
};

/// This rank's device and who serves its memory, chosen by what all ranks have: the same choice on all that have one. NCCL where
/// every rank has a GPU of its own and the same NCCL, and the host's engine is ours; otherwise our own. Loads our kernels.
/// Errors: unsupported when the engine asked for is not there, or not with MPI; device.
DeviceChoice devices_of(const Settings& settings, std::span<const PeerCard> cards);

}  // namespace trireme
