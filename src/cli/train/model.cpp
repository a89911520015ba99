// SPDX-License-Identifier: Apache-2.0
#include "cli/train/model.hpp"

#include "cli/train/seeds.hpp"
#include "trireme/models/cnn.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/models/resnet.hpp"

namespace trireme::cli {
namespace {

std::vector<std::size_t> layer_sizes(const data::LabelledImages& images, const std::vector<std::size_t>& hidden) {
  std::vector<std::size_t> sizes{images.pixels()};
  sizes.insert(sizes.end(), hidden.begin(), hidden.end());
  sizes.push_back(images.classes);
  return sizes;
}

}  // namespace

std::unique_ptr<models::Classifier> make_model(const TrainOptions& options, const data::LabelledImages& images,
                                               std::size_t rows) {
  const std::uint64_t seed = model_seed(options.seed);
  const models::ImageExtent extent{images.rows, images.columns, 1};
  if (options.model == "cnn") {
    return std::make_unique<models::Cnn<float>>(
        models::CnnOptions{.input = extent, .classes = images.classes, .seed = seed, .rows = rows});
  }
  if (options.model == "resnet") {
    return std::make_unique<models::ResNet<float>>(
        models::ResNetOptions{.input = extent, .classes = images.classes, .seed = seed, .rows = rows});
  }
  return std::make_unique<models::Mlp<float>>(models::MlpOptions{
      .sizes = layer_sizes(images, options.hidden), .seed = seed, .rows = rows, .dropout = options.dropout});
}

}  // namespace trireme::cli
