// SPDX-License-Identifier: Apache-2.0
#include "cli/train/model.hpp"

#include "cli/train/seeds.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace trireme::cli {
namespace {

std::vector<std::size_t> layer_sizes(const data::LabelledImages& images, const std::vector<std::size_t>& hidden) {
  std::vector<std::size_t> sizes{images.pixels()};
  sizes.insert(sizes.end(), hidden.begin(), hidden.end());
  sizes.push_back(images.classes);
  return sizes;
}

models::ImageExtent extent_of(const data::LabelledImages& images) { return {images.rows, images.columns, 1}; }

}  // namespace

models::MlpOptions mlp_options(const TrainOptions& options, const data::LabelledImages& images, std::size_t rows) {
  return {.sizes = layer_sizes(images, options.hidden),
          .seed = model_seed(options.seed),
          .rows = rows,
          .dropout = options.dropout};
}

std::vector<Parameter> mlp_shapes(const TrainOptions& options, const data::LabelledImages& images) {
  const std::vector<std::size_t> sizes = layer_sizes(images, options.hidden);
  std::vector<Parameter> shapes;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, std::size_t count) {
    const TensorView nowhere(nullptr, count, DType::f32);
    shapes.push_back({name, std::move(shape), nowhere, nowhere});
  };
  for (std::size_t layer = 0; layer + 1 < sizes.size(); ++layer) {
    const std::size_t inputs = sizes[layer], outputs = sizes[layer + 1];
    const std::string name = "layer" + std::to_string(layer);
    add(name + ".weight", {static_cast<std::int64_t>(outputs), static_cast<std::int64_t>(inputs)}, outputs * inputs);
    add(name + ".bias", {static_cast<std::int64_t>(outputs)}, outputs);
  }
  return shapes;
}

models::CnnOptions cnn_options(const TrainOptions& options, const data::LabelledImages& images, std::size_t rows) {
  return {.input = extent_of(images), .classes = images.classes, .seed = model_seed(options.seed), .rows = rows};
}

models::ResNetOptions resnet_options(const TrainOptions& options, const data::LabelledImages& images,
                                     std::size_t rows) {
  return {.input = extent_of(images), .classes = images.classes, .seed = model_seed(options.seed), .rows = rows};
}

std::unique_ptr<models::Classifier> make_model(const TrainOptions& options, const data::LabelledImages& images,
                                               std::size_t rows) {
  if (options.model == "cnn") return std::make_unique<models::Cnn<float>>(cnn_options(options, images, rows));
  if (options.model == "resnet") return std::make_unique<models::ResNet<float>>(resnet_options(options, images, rows));
  return std::make_unique<models::Mlp<float>>(mlp_options(options, images, rows));
}

}  // namespace trireme::cli
