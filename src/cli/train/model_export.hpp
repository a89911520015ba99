// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/report.hpp"
#include "cli/train/trainer.hpp"
#include "trireme/comm/communicator.hpp"

namespace trireme::cli {

/// Rank 0 makes the folder of --model-dir, if that was given, and tries whether it can write there. Collective.
/// Errors: invalid_argument, alike on all ranks.
void check_model_dir(Communicator communicator, const TrainOptions& options);

/// Writes what `trainer` has trained into the folder of --model-dir, if that was given, and says so, or why it could not, on
/// stderr. Not collective: of rank 0.  Returns false when it could not.
bool export_result(const TrainOptions& options, const Trainer& trainer, const TrainResult& result);

}  // namespace trireme::cli
