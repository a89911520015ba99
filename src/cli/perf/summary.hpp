// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/options.hpp"
#include "cli/perf/table.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::cli {

/// Every rank's numbers, one rank behind another: iteration by iteration the slowest rank's. Collective.
std::vector<double> slowest_of_all(Communicator& communicator, std::span<const double> mine);

/// The row of `count` elements per block from what every rank measured: seconds per call, elements that were wrong. Its yardstick
/// is left open. Collective. Shape: as many times on all ranks.
PerfRow summarise(Communicator& communicator, const PerfOptions& options, std::size_t count,
                  std::span<const double> times, std::uint64_t wrong);

}  // namespace trireme::cli
