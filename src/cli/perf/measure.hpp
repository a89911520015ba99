// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/buffer.hpp"
#include "cli/perf/options.hpp"
#include "cli/perf/pattern.hpp"
#include "cli/perf/table.hpp"
#include "trireme/world/world.hpp"

#include <string>

namespace trireme::cli {

/// Measures one operation in a world, size after size. Collective throughout.
class PerfBench {
 public:
  /// Errors: system when there is no memory for the largest size.
  PerfBench(World& world, const PerfOptions& options, std::size_t largest_count);

  BoundKind bound() const { return bound_.kind(); }
  /// Which algorithm a vector of this size takes, and why.
  /// Errors: invalid_argument for an algorithm that is not defined here or does not keep the order; alike on all ranks.
  Explanation explain(std::size_t count) const;
  /// Verifies, then times, each call on inputs of its own.
  PerfRow measure(std::size_t count);

 private:
  double call(std::size_t count, std::uint64_t iteration, std::uint64_t& wrong);
  CallOptions call_options() const;

  const PerfOptions& options_;
  Communicator communicator_;
  PerfPattern pattern_;
  PerfBuffer data_;
  PerfBuffer other_;
  Bound bound_;
};

}  // namespace trireme::cli
