// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/options.hpp"
#include "cli/perf/peers.hpp"
#include "cli/perf/statistics.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace trireme::cli {

/// One size of one run, as a run of ours or of a peer says it.
struct Timing {
  std::size_t bytes = 0;
  std::size_t count = 0;
  double time_us = 0.0;
  double p99_us = 0.0;
  double bound_us = -1.0;  ///< ours only; negative: none
  std::string algorithm{};
  std::string transport{};  ///< ours only
  std::uint64_t wrong = 0;
};
using Run = std::vector<Timing>;

/// The rows of a peer's program: lines "peer bytes=… count=… time_us=… p99_us=… wrong=…"; others are passed over.
Run parse_peer_lines(const std::string& text);
/// The rows of our JSON. Errors: corrupt.
Run parse_perf_rows(const std::string& json);

/// All rounds so far.
struct Comparison {
  std::vector<Run> ours{};                 ///< [round]
  std::vector<std::vector<Run>> theirs{};  ///< [setting][round]
};

/// How the runs that count lay on the machine's processors (see platform/placement.hpp).
struct Placed {
  std::uint64_t runs = 0;
  std::uint64_t elsewhere = 0;  ///< of them: the processors were not near before or after
  std::uint64_t repeated = 0;   ///< thrown away for that reason
};

/// One size over all rounds, against the setting that is fastest there.
struct ComparedSize {
  Timing ours{};    ///< medians over the rounds
  Timing theirs{};  ///< the same
  std::size_t setting = 0;
  MedianInterval ratio{};                      ///< theirs over ours, round by round: above 1 ours is faster
  std::vector<double> ours_us{}, theirs_us{};  ///< per round
};

/// Errors: mismatch when runs have different sizes.
std::vector<ComparedSize> compare_sizes(const Comparison& comparison);

std::string comparison_heading(const PerfOptions& options, const Peer& peer, const std::string& host);
std::string comparison_table(const Peer& peer, const std::vector<ComparedSize>& sizes, const Placed& placed);
/// {"environment": {…}, "rows": […], "compare": […]}: rows as perf_json has them, of ours and of theirs.
std::string comparison_json(const PerfOptions& options, const Peer& peer, const std::string& host,
                            const std::vector<ComparedSize>& sizes, const Placed& placed);

}  // namespace trireme::cli
