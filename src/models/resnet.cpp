// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/resnet.hpp"

#include "models/image_options.hpp"
#include "models/layers/dense.hpp"
#include "models/layers/pooling.hpp"
#include "models/layers/residual_block.hpp"
#include "models/network.hpp"
#include "trireme/base/error.hpp"

#include <cmath>
#include <limits>
#include <string>

namespace trireme::models {
namespace {

void check(const ResNetOptions& options) {
  check_image_options("resnet", options.input, options.stages, options.classes);
  if (options.stages.empty() || options.blocks == 0) {
    fail(ErrorCode::invalid_argument, "resnet: a residual network has at least one stage of at least one block");
  }
  if (!(options.momentum >= 0.0 && options.momentum <= 1.0)) {
    fail(ErrorCode::invalid_argument, "resnet: the momentum of running statistics is between 0 and 1");
  }
  if (!(options.epsilon > 0.0 && options.epsilon <= std::numeric_limits<double>::max())) {
    fail(ErrorCode::invalid_argument, "resnet: epsilon must be above 0 and finite");
  }
}

template <class T>
std::unique_ptr<Network<T>> network_of(const ResNetOptions& options) {
  check(options);
  auto network = std::make_unique<Network<T>>(
      NetworkOptions{.description = "resnet " + text_of(options.input) + " stages " + text_of(options.stages) + " of " +
                                    std::to_string(options.blocks) + (options.blocks == 1 ? " block" : " blocks"),
                     .input = options.input,
                     .momentum = options.momentum});
  auto& store = network->store();
  auto& workspace = network->workspace();
  network->add(std::make_unique<layers::Convolution<T>>(
      store, workspace,
      layers::ConvolutionOptions{.name = "stem.conv",
                                 .input = options.input,
                                 .outputs = options.stages.front(),
                                 .bias = false,
                                 .bound = std::sqrt(6.0 / static_cast<double>(9 * options.input.channels))}));
  network->add(std::make_unique<layers::BatchNorm<T>>(
      store, layers::BatchNormOptions{
                 .name = "stem.norm", .input = network->extent(), .relu = true, .epsilon = options.epsilon}));
  for (std::size_t s = 0; s < options.stages.size(); ++s) {
    for (std::size_t b = 0; b < options.blocks; ++b) {
      network->add(std::make_unique<layers::ResidualBlock<T>>(
          store, workspace,
          layers::ResidualBlockOptions{.name = "stage" + std::to_string(s) + ".block" + std::to_string(b),
                                       .input = network->extent(),
                                       .outputs = options.stages[s],
                                       .stride = s > 0 && b == 0 ? std::size_t{2} : std::size_t{1},
                                       .epsilon = options.epsilon}));
    }
  }
  network->add(std::make_unique<layers::MeanPool<T>>(network->extent()));
  const std::size_t inputs = network->extent().elements();
  network->add(std::make_unique<layers::Dense<T>>(
      store, layers::DenseOptions{.name = "head",
                                  .inputs = inputs,
                                  .outputs = options.classes,
                                  .bound = 1.0 / std::sqrt(static_cast<double>(inputs))}));
  network->finish(options.seed, options.rows);
  return network;
}

}  // namespace

template <class T>
ResNet<T>::ResNet(const ResNetOptions& options) : ImageClassifier<T>(network_of<T>(options)) {}

template class ResNet<float>;
template class ResNet<double>;

}  // namespace trireme::models
