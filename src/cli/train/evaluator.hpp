// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/tasks/task.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstdint>
#include <optional>

namespace trireme::cli {

/// What the weights are worth on samples they did not learn from.
struct Score {
  double loss = 0.0;                   ///< mean; NaN of no samples
  std::optional<double> accuracy{};    ///< of Measure::accuracy
  std::optional<double> perplexity{};  ///< of Measure::perplexity
  std::optional<double> error{};       ///< of Measure::error
};

/// Every sample of a part exactly once, on one rank or another. The same bits on any number of ranks: blocks of samples are
/// evaluated whole, and their losses added along the balanced tree over blocks. Collective.
/// Errors: mismatch when the ranks have other numbers of samples; those of the communicator.
Score evaluate(Task& task, Part part, Communicator& communicator, const CallOptions& options);

}  // namespace trireme::cli
