// SPDX-License-Identifier: Apache-2.0
#include "world/device_engines.hpp"

#include "engines/device/engine.hpp"
#include "engines/nccl/factory.hpp"
#include "kernels/device_kernels.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <set>
#include <string>

namespace trireme {
namespace {

constexpr const char* nccl_mark = " nccl ";  // of a card: what stands before is the device, behind it NCCL's version

bool wants_nccl(const Settings& settings) { return settings.device_engine != "device" && settings.engine != "mpi"; }

/// Whether NCCL serves all ranks, as far as their cards tell.
bool suits_nccl(std::span<const PeerCard> cards) {
  std::set<std::string> devices, versions;
  for (const PeerCard& card : cards) {
    const std::string text = card.device.value_or("");
    const auto mark = text.find(nccl_mark);
    if (mark == std::string::npos) return false;
    devices.insert(text.substr(0, mark));
    versions.insert(text.substr(mark));
  }
  return devices.size() == cards.size() && versions.size() == 1;
}

}  // namespace

std::optional<std::string> device_card(const Settings& settings) {
  const auto& devices = settings.devices;
  if (!devices.runtime) return std::nullopt;
  std::string card = devices.runtime->properties(devices.device.index).uuid;
  if (devices.runtime->name() == "cuda" && wants_nccl(settings) &&
      engines::nccl::why_not(settings.nccl_library).empty())
    card += nccl_mark + std::to_string(engines::nccl::version(settings.nccl_library));
  return card;
}

DeviceChoice devices_of(const Settings& settings, std::span<const PeerCard> cards) {
  DeviceChoice choice{.options = settings.devices};
  comm::DeviceOptions& devices = choice.options;
  if (!devices.runtime) return choice;
  devices.runtime->load(kernels::device_kernels());
  devices.everywhere = std::all_of(cards.begin(), cards.end(), [](const PeerCard& card) { return card.device; });
  if (devices.make_engine) return choice;
  if (settings.device_engine == "nccl" && settings.engine == "mpi")
    fail(ErrorCode::unsupported, "the device engine nccl does not go with the engine mpi: give TRIREME_ENGINE=host");
  if (settings.device_engine == "nccl" && devices.runtime->name() != "cuda") {
    fail(ErrorCode::unsupported, "the device engine nccl serves CUDA devices, not " +
                                     std::string(devices.runtime->name()) + " ones: give TRIREME_DEVICE_ENGINE=device");
  }
  if (settings.device_engine == "nccl" || (wants_nccl(settings) && suits_nccl(cards))) {
    devices.make_engine = engines::nccl::factory(engines::nccl::load(settings.nccl_library));
    choice.rings = false;
  } else {
    devices.make_engine = engines::device::factory();
  }
  return choice;
}

}  // namespace trireme
