// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/models/image_extent.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace trireme::models {

/// Errors: invalid_argument, naming `model`, for an image without pixels, layers without channels or units, all of which
///         products count in int, and classes other than 2 to 256 (labels are bytes).
void check_image_options(const char* model, const ImageExtent& input, std::span<const std::size_t> widths,
                         std::size_t classes);

/// "28x28x1", "16-32-64".
std::string text_of(const ImageExtent& extent);
std::string text_of(std::span<const std::size_t> widths);

}  // namespace trireme::models
