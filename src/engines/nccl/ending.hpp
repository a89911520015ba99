// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/library.hpp"
#include "trireme/device/owned.hpp"

#include <chrono>
#include <memory>
#include <vector>

namespace trireme::engines::nccl {

/// What an engine leaves when it ends, and what may still be used by the device until its communicators are gone.
struct Ending {
  std::shared_ptr<Library> library;
  std::shared_ptr<device::Runtime> runtime;
  int device = 0;
  std::vector<api::Comm> comms;  ///< all have ended their work when `orderly`
  bool orderly = false;          ///< finalize and destroy; otherwise abort
  std::vector<device::OwnedStream> streams;
  std::vector<device::Buffer> buffers;
};

/// Ends it on a thread of its own, because ncclCommAbort and ncclCommDestroy may wait for ever. Waits for that up to
/// `patience`; then the thread is left alone (Library::ending counts those), and owns all that is in `ending`.
/// True when all is gone.
bool end(Ending ending, std::chrono::milliseconds patience) noexcept;

}  // namespace trireme::engines::nccl
