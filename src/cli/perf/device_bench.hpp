// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/buffer.hpp"
#include "cli/perf/device_copy.hpp"
#include "cli/perf/options.hpp"
#include "cli/perf/pattern.hpp"
#include "cli/perf/table.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/world/world.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace trireme::cli {

/// Measures one operation on device memory, size after size, as PerfBench does on the host's. Collective throughout.
///
/// Calls are given in batches to one stream, each with buffers of its own, and the host's clock runs from before the first to
/// when all are done: what giving them costs shows only as far as it is not hidden behind the one before. Cold: the inputs of
/// a batch are written just before it, and every result is verified behind it. Warm: one input for all, written once.
class DeviceBench {
 public:
  /// Errors: invalid_argument naming --max-bytes, alike on all ranks, when a device has no room for the largest size; device.
  DeviceBench(World& world, const PerfOptions& options, const std::vector<std::size_t>& counts);

  BoundKind bound() const { return BoundKind::device_copy; }
  /// Which algorithm a vector of this size takes, and why: of all_reduce. Who does it: of any.
  Explanation explain(std::size_t count) const;
  /// Shape: `count` elements per block.
  PerfRow measure(std::size_t count);

 private:
  struct Sizes {
    std::size_t input = 0, output = 0;  // of all buffers used in turn; no output: it lies in the input's
    std::size_t staging = 0;            // the largest of what a call has, on the host
    std::size_t copied = 0;
    std::size_t on_device() const { return input + output + 2 * copied; }
  };
  DeviceBench(const Sizes& sizes, World& world, const PerfOptions& options);
  static Sizes sizes_of(const PerfOptions& options, const std::vector<std::size_t>& counts, int ranks);

  static std::shared_ptr<device::Runtime> with_room(const World& world, const Sizes& sizes);

  /// A call's memory: where it lies in the buffers, and how many bytes of it there are.
  struct Range {
    std::byte* data = nullptr;
    std::size_t size = 0;
  };
  Range input(std::size_t count, std::uint64_t turn) const;
  Range output(std::size_t count, std::uint64_t turn) const;
  Range nested(PerfBlocks blocks, std::size_t count, std::uint64_t turn) const;
  std::uint64_t batch_of(std::size_t count) const;
  PerfCall call_of(std::size_t count, std::uint64_t turn) const;
  void write(std::size_t count, std::uint64_t turn, std::uint64_t iteration);
  std::uint64_t wrong(std::size_t count, std::uint64_t turn, std::uint64_t iteration);
  double run(std::size_t count, std::uint64_t first, std::uint64_t calls);
  std::vector<double> time(std::size_t count, std::uint64_t batches, std::uint64_t calls, std::uint64_t& wrong);
  CallOptions call_options() const;

  const PerfOptions& options_;
  Communicator communicator_;
  std::shared_ptr<device::Runtime> runtime_;
  device::OwnedStream stream_;
  PerfPattern pattern_;
  device::PinnedBuffer staging_;
  device::Buffer input_, output_;
  DeviceCopy copy_;
  std::vector<Work> works_;  // goes first: buffers outlive what uses them
};

}  // namespace trireme::cli
