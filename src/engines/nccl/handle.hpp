// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/nccl_api.hpp"

#include <atomic>
#include <memory>

namespace trireme::engines::nccl {

/// Where NCCL writes which communicator it has made. A thread of its own does, when the making ends, well or not: that may be
/// long after whoever asked has given up and is gone. So the place is shared, and whoever ends the communicator, or the one that
/// it is made of, holds it until NCCL has let go.
class Handle {
 public:
  api::Comm* place() { return &comm_; }
  /// Null: nothing has been written yet.
  api::Comm get() const { return std::atomic_ref<api::Comm>(comm_).load(std::memory_order_acquire); }

 private:
  alignas(std::atomic_ref<api::Comm>::required_alignment) mutable api::Comm comm_ = nullptr;
};
using SharedHandle = std::shared_ptr<Handle>;

}  // namespace trireme::engines::nccl
