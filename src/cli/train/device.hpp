// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/tasks/task.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/platform/environment.hpp"
#include "trireme/world/world.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace trireme::cli {

/// What CUDA reads of the environment when it starts, unless somebody has set it: kernels are loaded at once, and streams have
/// queues of their own, so that several ranks may share a GPU. Before there are threads.
void prepare_device(const TrainOptions& options);

/// Before there is a world: whether what --device names can be trained on.
/// Errors: unsupported, saying what is missing; invalid_argument when TRIREME_DEVICE asks for a device and no flag does.
void check_device(const TrainOptions& options, const platform::Environment& environment);

/// The world that --device asks for: with a device for each rank, or without.
Options world_options(const TrainOptions& options, const platform::Environment& environment);

/// "cuda:0 (NVIDIA H200)": for the start of a log; empty on the host.
std::string describe_device(const World& world);

/// The model that was asked for, on a device: its parameters and gradients are views of device memory.
/// Errors: invalid_argument for a model that has no twin there; device.
std::unique_ptr<models::Classifier> make_device_classifier(const TrainOptions& options,
                                                           const data::LabelledImages& images, std::size_t rows,
                                                           const TaskDevice& device);

}  // namespace trireme::cli
