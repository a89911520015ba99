// SPDX-License-Identifier: Apache-2.0
#include "cli/train/normalisation.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <span>

namespace trireme::cli {

data::Normalisation normalisation_of(const data::LabelledImages& images, std::size_t first_images) {
  std::array<std::uint64_t, 256> histogram{};
  for (const std::uint8_t pixel : std::span(images.images).first(first_images * images.pixels())) ++histogram[pixel];
  double pixels = 0.0;
  double total = 0.0;
  double squares = 0.0;
  for (std::size_t value = 0; value < histogram.size(); ++value) {
    const auto count = static_cast<double>(histogram[value]);
    const auto grey = static_cast<double>(value);
    pixels += count;
    total += count * grey;
    squares += count * grey * grey;
  }
  if (pixels == 0.0) return {};
  const double mean = total / pixels;
  const double variance = squares / pixels - mean * mean;
  return {.mean = mean / 255.0, .deviation = variance > 0.0 ? std::sqrt(variance) / 255.0 : 1.0};
}

}  // namespace trireme::cli
