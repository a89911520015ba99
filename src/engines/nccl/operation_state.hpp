// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/operation.hpp"
#include "engines/nccl/handshake.hpp"
#include "trireme/base/error.hpp"
#include "trireme/comm/engine.hpp"
#include "trireme/device/owned.hpp"

#include <memory>

namespace trireme::engines::nccl {

/// Of an operation: how far it was given to the device.
class OperationState final : public comm::EngineState {
 public:
  enum class Stage { waiting, begun, given_whole, launched };
  OperationState(const std::shared_ptr<device::Runtime>& runtime, int device)
      : before(runtime, device), behind(runtime, device) {}

  void reset() {
    stage = Stage::waiting;
    ordered = heard = false;
    failure.code = ErrorCode::none;
    handshake.clear();
  }

  device::OwnedEvent before;  ///< on the caller's stream, when it was issued
  device::OwnedEvent behind;  ///< on ours, behind all that was given for it
  bool ordered = false;       ///< `before` counts
  bool heard = false;
  Stage stage = Stage::waiting;
  Error failure{};  ///< code none: none
  Handshake handshake;

  // Of sends and receives, see Transfers.
  transport::SendRequest word{};
  transport::ReceiveRequest answer{};
  bool offered = false;
};

inline OperationState& state_of(comm::Operation& operation) {
  return static_cast<OperationState&>(*operation.device_state);
}
inline const OperationState& state_of(const comm::Operation& operation) {
  return static_cast<const OperationState&>(*operation.device_state);
}

}  // namespace trireme::engines::nccl
