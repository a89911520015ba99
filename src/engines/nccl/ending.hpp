// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/handle.hpp"
#include "engines/nccl/library.hpp"
#include "engines/nccl/registered_memory.hpp"
#include "trireme/device/owned.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

namespace trireme::engines::nccl {

/// What an engine leaves when it ends, and what may still be used by the device until its communicators are gone.
struct Ending {
  std::shared_ptr<Library> nccl;
  std::shared_ptr<device::Runtime> runtime;
  int device = 0;
  std::vector<SharedHandle> comms;   ///< all have ended their work when `orderly`
  std::vector<SharedHandle> unborn;  ///< that were being made of those, and nobody wants any more
  bool orderly = false;              ///< finalize and destroy; otherwise abort
  std::vector<device::OwnedStream> streams;
  std::vector<device::Buffer> buffers;
  std::vector<device::Buffer> spent;
  Registrations registrations;  ///< with the last of `comms`
  std::shared_ptr<const std::atomic<bool>>
      in_use;  ///< somebody is in a call of NCCL for the last of `comms`; null: nobody
};

/// The end of communicators, on a thread of its own because ncclCommAbort and ncclCommDestroy may wait for ever. The thread
/// owns all that was in the Ending, is joined by nobody and counted by Library::ending.
class Farewell {
 public:
  /// Begins it. Never waits.
  static Farewell begin(Ending ending) noexcept;
  /// Of nothing: over.
  Farewell() = default;
  /// Whether all is gone, or `patience` has passed without.
  bool wait(std::chrono::milliseconds patience) const noexcept;
  bool over() const noexcept { return wait(std::chrono::milliseconds(0)); }

 private:
  struct Task;
  std::shared_ptr<Task> task_;
  bool never_ = false;  ///< no thread was to be had
};

}  // namespace trireme::engines::nccl
