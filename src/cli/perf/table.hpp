// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/bound.hpp"
#include "cli/perf/options.hpp"
#include "cli/perf/yield_ring.hpp"
#include "trireme/base/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// What is the same for all rows.
struct PerfEnvironment {
  std::string version{};
  std::string host{};  ///< of rank 0
  int processors = 0;
  int ranks = 1;
  int ranks_on_host = 1;
  std::string transport{};  ///< self, shm, tcp, or mixed
  std::string engine = "host";
  BoundKind bound = BoundKind::none;
  std::string device{};                   ///< "cuda:0 (NVIDIA H200)", rank 0's; empty: host memory is measured
  std::string host_engine{};              ///< of device memory: what takes it where it goes by way of the host
  std::optional<YieldRing> yield_ring{};  ///< where ranks outnumber processors
};

/// One size, measured.
struct PerfRow {
  std::size_t bytes = 0;    ///< of the larger of input and output
  std::size_t count = 0;    ///< elements per block
  std::string algorithm{};  ///< empty where the library has no say
  std::uint64_t iterations = 0;
  std::uint64_t batch = 0;  ///< of device memory: calls given at once, whose mean is one time; 0: each is timed
  double time_us = 0.0;     ///< median (p50) over the iterations of the slowest rank's time
  double p99_us = 0.0;
  double algbw = 0.0;       ///< GB/s
  double busbw = 0.0;       ///< GB/s
  std::uint64_t wrong = 0;  ///< elements, over all ranks and iterations
  std::optional<double> bound_us{};
};

/// The lines above the rows, each starting with '#'.
std::string perf_heading(const PerfOptions& options, const PerfEnvironment& environment);
/// One aligned line.
std::string perf_line(const PerfOptions& options, const PerfRow& row);
/// {"environment": {…}, "rows": […]}; the keys are a contract.
std::string perf_json(const PerfOptions& options, const PerfEnvironment& environment, const std::vector<PerfRow>& rows);

}  // namespace trireme::cli
