// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/operation.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/device/owned.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace trireme::cli {

/// What a collective on device memory is held against: a copy within it, by every rank at once. It reads and writes together as
/// many bytes as the operation's input and output have. Ranks that share a device share its bandwidth here, too; what the
/// links between devices allow it does not say.
class DeviceCopy {
 public:
  /// Bytes to copy for blocks of `block` bytes: half of input and output together.
  static std::size_t bytes(const PerfOperation& operation, int ranks, std::size_t block);

  /// Bytes of memory that copies of `size` bytes take, on either side: smaller ones go round more buffers, and may take more.
  static std::size_t memory(std::size_t size);

  /// With that much memory on either side. Errors: device.
  DeviceCopy(const Communicator& communicator, std::size_t memory);

  /// Seconds of one copy, the median over `batches` of the slowest rank's mean in a batch of `calls` that are given one
  /// behind another, of buffers used in turn. Collective.
  /// Errors: corrupt when a copy has not arrived; device.
  double measure(std::size_t size, std::uint64_t batches, std::uint64_t calls);

 private:
  Communicator communicator_;
  std::shared_ptr<device::Runtime> runtime_;
  device::OwnedStream stream_;
  device::Buffer from_, to_;
};

}  // namespace trireme::cli
