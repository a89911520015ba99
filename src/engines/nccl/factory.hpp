// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/library.hpp"
#include "trireme/comm/device_engine.hpp"

#include <chrono>
#include <memory>

namespace trireme::engines::nccl {

struct EngineOptions {
  /// How long the host waits for ncclCommAbort, which may never return.
  std::chrono::milliseconds abort_patience = std::chrono::seconds(2);
  /// How long a communicator's end waits for the others' ends.
  std::chrono::milliseconds farewell = std::chrono::seconds(1);
  /// NCCL tells that another rank has failed, but not which: how long that one has to say so itself.
  std::chrono::milliseconds last_words = std::chrono::seconds(5);
};

/// What `world` hands down to make engines of this kind.
comm::DeviceEngineFactory factory(std::shared_ptr<Library> library, const EngineOptions& options = {});

}  // namespace trireme::engines::nccl
