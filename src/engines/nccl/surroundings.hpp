// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/programs.hpp"
#include "engines/nccl/library.hpp"
#include "trireme/comm/device_engine.hpp"

#include <memory>
#include <utility>

namespace trireme::engines::nccl {

/// What the parts of one engine share.
struct Surroundings {
  Surroundings(std::shared_ptr<Library> library_, const comm::DeviceRoom& all)
      : nccl(std::move(library_)),
        runtime(all.runtime),
        device(all.device.index),
        room(all.room),
        programs(static_cast<int>(all.room.members.size())) {}
  std::size_t ranks() const { return room.members.size(); }
  std::size_t self() const { return static_cast<std::size_t>(room.rank); }

  std::shared_ptr<Library> nccl;
  std::shared_ptr<device::Runtime> runtime;
  int device;
  comm::EngineRoom room;
  comm::Programs programs;
};

}  // namespace trireme::engines::nccl
