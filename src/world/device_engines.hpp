// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/device_engine.hpp"
#include "world/peer_card.hpp"
#include "world/settings.hpp"

#include <optional>
#include <span>
#include <string>

namespace trireme {

/// What this rank's card says of its device; empty: it has none.
std::optional<std::string> uuid_of(const comm::DeviceOptions& devices);

/// This rank's device and who serves its memory, chosen by what all ranks have: the same choice on all that have one. Loads
/// our kernels on every device.
/// Errors: unsupported when the engine asked for is not there; device.
comm::DeviceOptions devices_of(const Settings& settings, std::span<const PeerCard> cards);

}  // namespace trireme
