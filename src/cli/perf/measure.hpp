// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/bound.hpp"
#include "cli/perf/buffer.hpp"
#include "cli/perf/memory.hpp"
#include "cli/perf/options.hpp"
#include "cli/perf/pattern.hpp"
#include "cli/perf/table.hpp"
#include "trireme/world/world.hpp"

#include <string>
#include <vector>

namespace trireme::cli {

/// Measures one operation in a world, size after size. Collective throughout.
///
/// Cold: each call has inputs of its own, written just before into the next of several buffers, so that no other rank has
/// them in its cache. Warm: one buffer, written once. Either way a size is verified before it is timed.
class PerfBench {
 public:
  /// Errors: system when there is no memory for the largest size.
  PerfBench(World& world, const PerfOptions& options, const std::vector<std::size_t>& counts);

  BoundKind bound() const { return bound_.kind(); }
  /// Which algorithm a vector of this size takes, and why; empty where the library has no say.
  /// Errors: invalid_argument for an algorithm that is not defined here or does not keep the order; alike on all ranks.
  Explanation explain(std::size_t count) const;
  /// Shape: `count` elements per block.
  PerfRow measure(std::size_t count);

 private:
  PerfBench(World& world, const PerfOptions& options, const std::vector<std::size_t>& counts, const PerfMemory& sizes);
  std::span<std::byte> input(std::size_t count, std::uint64_t turn) const;
  std::span<std::byte> output(std::size_t count, std::uint64_t turn) const;
  double call(std::size_t count, std::uint64_t turn);
  std::vector<double> time(std::size_t count, std::uint64_t iterations, std::uint64_t& wrong);
  CallOptions call_options() const;

  const PerfOptions& options_;
  Communicator communicator_;
  PerfPattern pattern_;
  PerfBuffer input_;
  PerfBuffer output_;
  Bound bound_;
};

}  // namespace trireme::cli
