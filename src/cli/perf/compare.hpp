// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/options.hpp"
#include "trireme/platform/environment.hpp"

namespace trireme::cli {

/// Starts ranks of ours and of a peer in turn, round after round, and prints what each size takes and the ratios.
/// Returns the exit code. Shape: `options.compare` is set.
/// Errors: invalid_argument when the peer is not here, or ranks are running already; system when a run fails.
int compare(const PerfOptions& options, const platform::Environment& environment);

}  // namespace trireme::cli
