// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/tasks/task.hpp"

#include <memory>

namespace trireme::cli {

/// What --dataset names, with the model that --model names. `options` must outlive it.
/// Errors: those of the kinds of data.
std::unique_ptr<TrainingData> load_training_data(const TrainOptions& options);

}  // namespace trireme::cli
