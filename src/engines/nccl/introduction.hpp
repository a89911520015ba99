// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/surroundings.hpp"
#include "trireme/comm/device_engine.hpp"

namespace trireme::engines::nccl {

/// The members tell each other their NCCL and device. True when all are `ready` to be split off their common parent.
/// Collective. Errors: mismatch naming ranks and versions; unsupported naming the ranks of one device.
bool introduce(const Surroundings& surroundings, const comm::DeviceRoom& room, bool ready);

/// The first member gives the id by which NCCL finds them together. It goes over our own authenticated links, so that
/// nobody else learns where NCCL listens.
/// Collective. Errors: device.
api::UniqueId common_id(const Surroundings& surroundings, const comm::DeviceRoom& room);

}  // namespace trireme::engines::nccl
