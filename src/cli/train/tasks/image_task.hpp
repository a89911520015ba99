// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/tasks/task.hpp"

#include <memory>

namespace trireme::cli {

/// Labelled images, for the classifiers mlp, cnn and resnet.
/// Errors: those of data::load_fashion_mnist; invalid_argument when too little is left to train on.
std::unique_ptr<TrainingData> load_images(const TrainOptions& options);

}  // namespace trireme::cli
