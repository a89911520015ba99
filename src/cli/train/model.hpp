// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/models/cnn.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/models/resnet.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace trireme::cli {

/// The shape of each of them, for images like these and passes of about `rows` samples.
models::MlpOptions mlp_options(const TrainOptions& options, const data::LabelledImages& images, std::size_t rows);
models::CnnOptions cnn_options(const TrainOptions& options, const data::LabelledImages& images, std::size_t rows);
models::ResNetOptions resnet_options(const TrainOptions& options, const data::LabelledImages& images, std::size_t rows);

/// The parameters of the mlp for images like these, in its order, without memory.
std::vector<Parameter> mlp_shapes(const TrainOptions& options, const data::LabelledImages& images);

/// The model that was asked for, of f32, for images like these and passes of about `rows` samples.
/// Errors: invalid_argument when the images do not suit it.
std::unique_ptr<models::Classifier> make_model(const TrainOptions& options, const data::LabelledImages& images,
                                               std::size_t rows);

}  // namespace trireme::cli
