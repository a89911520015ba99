// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/buffer.hpp"
#include "cli/perf/options.hpp"
#include "cli/perf/pattern.hpp"
#include "cli/perf/table.hpp"
#include "trireme/world/world.hpp"

#include <string>
#include <string_view>

namespace trireme::cli {

/// The algorithm that Communicator::explain() names: "all_reduce of 4 elements … (…): direct, the least …" is "direct".
/// Errors: unsupported when the text names none.
std::string algorithm_in(std::string_view explanation);

/// Measures one operation in a world, size after size. Collective throughout.
class PerfBench {
 public:
  /// Errors: system when there is no memory for the largest size.
  PerfBench(World& world, const PerfOptions& options, std::size_t largest_count);

  BoundKind bound() const { return bound_.kind(); }
  /// Which algorithm a vector of this size takes and why: one line.
  /// Errors: invalid_argument for an algorithm that is not defined here or does not keep the order; alike on all ranks.
  std::string explain(std::size_t count) const;
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
