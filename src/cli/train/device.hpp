// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/compute_device.hpp"
#include "cli/train/options.hpp"
#include "cli/train/tasks/task.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/platform/environment.hpp"
#include "trireme/world/world.hpp"

#include <cstddef>
#include <memory>

namespace trireme::cli {

/// Before there is a world: whether what --device names can be trained on.
/// Errors: unsupported, saying what is missing; invalid_argument when TRIREME_DEVICE asks for a device and no flag does.
void check_device(const TrainOptions& options, const platform::Environment& environment);

/// The world that --device asks for: with a device for each rank, or without.
Options world_options(const TrainOptions& options, const platform::Environment& environment);

/// The model that was asked for, on a device: its parameters and gradients are views of device memory.
/// Errors: invalid_argument for a model that has no twin there; device.
std::unique_ptr<models::Classifier> make_device_classifier(const TrainOptions& options,
                                                           const data::LabelledImages& images, std::size_t rows,
                                                           const TaskDevice& device);

}  // namespace trireme::cli
