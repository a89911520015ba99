// SPDX-License-Identifier: Apache-2.0
#include "world/device_engines.hpp"

#include "engines/device/engine.hpp"
#include "kernels/device_kernels.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>

namespace trireme {
namespace {

/// auto: our own, which serves every topology.
comm::DeviceEngineFactory device_factory_of(const std::string& engine) {
  if (engine == "nccl") fail(ErrorCode::unsupported, "device engine nccl: this build has none; give auto or device");
  return engines::device::factory();
}

}  // namespace

std::optional<std::string> uuid_of(const comm::DeviceOptions& devices) {
  if (!devices.runtime) return std::nullopt;
  return devices.runtime->properties(devices.device.index).uuid;
}

comm::DeviceOptions devices_of(const Settings& settings, std::span<const PeerCard> cards) {
  comm::DeviceOptions devices = settings.devices;
  if (!devices.runtime) return devices;
  devices.runtime->load(kernels::device_kernels());
  devices.everywhere = std::all_of(cards.begin(), cards.end(), [](const PeerCard& card) { return card.device; });
  if (!devices.make_engine) devices.make_engine = device_factory_of(settings.device_engine);
  return devices;
}

}  // namespace trireme
