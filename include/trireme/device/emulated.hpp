// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace trireme::device {

struct EmulatedOptions {
  int devices = 1;
  /// Threads of a block run one after the other, between two meetings of the block in an order that this chooses: a kernel
  /// whose result depends on it has a race.
  std::uint64_t seed = 1;
  /// Every command begins after a pause chosen from 0 to this: what is not ordered comes in another order.
  std::chrono::microseconds delay{0};
  bool peer_access = true;  ///< whether devices reach each other
  bool frees_wait = false;  ///< as CUDA's do: for all that the streams were given, unless they are held back
  std::size_t memory_bytes = std::size_t{1} << 32;  ///< of each device; more is refused, as a device's memory is
};

/// Devices played by threads of this process: a stream is a thread that takes commands in order, kernels are the same bodies
/// compiled for the host, device memory is host memory that the address sanitizer guards. For tests of everything above,
/// under every sanitizer, without a GPU; slower than the host's own kernels.
/// Whatever runs on it gives the same results with every seed and delay, or has a mistake.
std::shared_ptr<Runtime> emulated_runtime(const EmulatedOptions& options = {});

}  // namespace trireme::device
