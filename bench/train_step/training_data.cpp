// SPDX-License-Identifier: Apache-2.0
#include "bench/train_step/training_data.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/philox.hpp"

#include <array>
#include <filesystem>
#include <optional>
#include <string>

namespace trireme::bench {
namespace {

constexpr std::size_t samples = 60000;
constexpr std::size_t side = 28;
constexpr std::size_t classes = 10;

data::LabelledImages synthetic() {
  constexpr std::size_t pixels = side * side;
  data::PhiloxStream random(1);
  std::array<std::uint8_t, classes * pixels> patterns;
  for (auto& pixel : patterns) pixel = static_cast<std::uint8_t>(random.below(128));
  data::LabelledImages set{
      .name = "synthetic", .rows = side, .columns = side, .classes = classes, .images = {}, .labels = {}};
  set.labels.resize(samples);
  set.images.resize(samples * pixels);
  for (std::size_t i = 0; i < samples; ++i) {
    const std::uint32_t kind = random.below(classes);
    // Every fourth label is drawn anew: a loss of 0 would bring subnormal gradients, which are slow.
    set.labels[i] = static_cast<std::uint8_t>(random.below(4) == 0 ? random.below(classes) : kind);
    const std::uint8_t* pattern = patterns.data() + kind * pixels;
    std::uint8_t* image = set.images.data() + i * pixels;
    for (std::size_t begin = 0; begin < pixels; begin += sizeof(std::uint64_t)) {  // eight bytes of noise per number
      const std::uint64_t noise = random.next();
      for (std::size_t k = 0; k < sizeof noise; ++k) {
        image[begin + k] = static_cast<std::uint8_t>(pattern[begin + k] + ((noise >> (8 * k)) & 0x7f));
      }
    }
  }
  return set;
}

/// The training set alone: the test set is not needed here.
data::LabelledImages fashion_mnist(const std::string& directory) {
  const std::filesystem::path folder = directory.empty() ? data::fashion_mnist_default_directory : directory;
  const auto file = [&](const char* kind) {
    const auto plain = folder / (std::string("train") + kind);
    return std::filesystem::exists(plain) ? plain : std::filesystem::path(plain.string() + ".gz");
  };
  return data::load_labelled_images(file("-images-idx3-ubyte"), file("-labels-idx1-ubyte"), classes, "fashion-mnist");
}

}  // namespace

data::LabelledImages load_training_data(const TrainStepOptions& options) {
  if (options.data == "synthetic") return synthetic();
  try {
    return fashion_mnist(options.data_dir);
  } catch (const Exception& exception) {
    if (options.data != "auto" || exception.error().code != ErrorCode::invalid_argument) throw;
    return synthetic();
  }
}

}  // namespace trireme::bench
