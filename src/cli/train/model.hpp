// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/models/classifier.hpp"

#include <cstddef>
#include <memory>

namespace trireme::cli {

/// The model that was asked for, of f32, for images like these and passes of about `rows` samples.
/// Errors: invalid_argument when the images do not suit it.
std::unique_ptr<models::Classifier> make_model(const TrainOptions& options, const data::LabelledImages& images,
                                               std::size_t rows);

}  // namespace trireme::cli
