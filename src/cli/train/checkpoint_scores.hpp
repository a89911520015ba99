// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/job_signals.hpp"
#include "cli/train/options.hpp"
#include "cli/train/tasks/task.hpp"

namespace trireme::cli {

/// The role of an evaluator: scores the newest checkpoint of --checkpoint-dir, again and again, beside the job that writes there, and
/// says each score as a `metric` line. It is no rank of any world; several evaluators score the same.
///
/// Weights are those that the trainer evaluates (averages where there are any), samples those of Part::validation, bits the
/// trainer's. Nothing in the folder is touched. A checkpoint that is removed while it is read gives way to the next; one that is
/// damaged is warned of and left out. Checkpoints that come faster than they are scored are passed over, but for the last.
/// Ends with `result:` and 0 when the newest checkpoint says that training is complete; on a signal with 0 when the newest is
/// scored, else 128 + n. While there is nothing new it says every 30 s what it waits for.
/// Errors: invalid_argument without --checkpoint-dir, without samples to score by, or for another job's checkpoints.
int score_checkpoints(const TrainOptions& trained, const TrainingData& data, JobSignals& signals);

}  // namespace trireme::cli
