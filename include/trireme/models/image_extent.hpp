// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace trireme::models {

/// Height, width and channels of one image in memory: row by row, the channels of a pixel side by side (NHWC).
struct ImageExtent {
  std::size_t height = 1;
  std::size_t width = 1;
  std::size_t channels = 1;

  std::size_t pixels() const { return height * width; }
  std::size_t elements() const { return height * width * channels; }
  friend constexpr bool operator==(const ImageExtent&, const ImageExtent&) = default;
};

}  // namespace trireme::models
