// SPDX-License-Identifier: Apache-2.0
#include "models/image_options.hpp"

#include "trireme/base/error.hpp"

namespace trireme::models {

void check_image_options(const char* model, const ImageExtent& input, std::span<const std::size_t> widths,
                         std::size_t classes) {
  constexpr std::size_t most_side = 1 << 14;
  constexpr std::size_t most_width = 1 << 20;
  const auto in_range = [](std::size_t value, std::size_t most) { return value >= 1 && value <= most; };
  if (!in_range(input.height, most_side) || !in_range(input.width, most_side) || !in_range(input.channels, most_side)) {
    fail(ErrorCode::invalid_argument, std::string(model) + ": images of " + text_of(input) + " are not possible");
  }
  for (const std::size_t width : widths) {
    if (!in_range(width, most_width)) {
      fail(ErrorCode::invalid_argument,
           std::string(model) + ": a layer of " + std::to_string(width) + " channels or units is not possible");
    }
  }
  if (classes < 2 || classes > 256) {
    fail(ErrorCode::invalid_argument,
         std::string(model) + ": a classifier has 2 to 256 classes, not " + std::to_string(classes));
  }
}

std::string text_of(const ImageExtent& extent) {
  return std::to_string(extent.height) + "x" + std::to_string(extent.width) + "x" + std::to_string(extent.channels);
}

std::string text_of(std::span<const std::size_t> widths) {
  std::string text;
  for (const std::size_t width : widths) text += (text.empty() ? "" : "-") + std::to_string(width);
  return text;
}

}  // namespace trireme::models
