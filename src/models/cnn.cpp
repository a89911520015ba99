// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/cnn.hpp"

#include "models/image_options.hpp"
#include "models/layers/dense.hpp"
#include "models/layers/plane_convolution.hpp"
#include "models/layers/pooled_convolution.hpp"
#include "models/network.hpp"
#include "trireme/base/error.hpp"

#include <cmath>
#include <string>

namespace trireme::models {
namespace {

void check(const CnnOptions& options) {
  check_image_options("cnn", options.input, options.convolutions, options.classes);
  check_image_options("cnn", options.input, options.hidden, options.classes);
  const std::size_t pools = options.convolutions.size();
  if (pools >= 16 || options.input.height >> pools == 0 || options.input.width >> pools == 0) {
    fail(ErrorCode::invalid_argument, "cnn: of images of " + text_of(options.input) + " nothing is left after " +
                                          std::to_string(pools) + " halvings");
  }
}

double bound_of(std::size_t inputs) { return 1.0 / std::sqrt(static_cast<double>(inputs)); }

template <class T>
std::unique_ptr<Network<T>> network_of(const CnnOptions& options) {
  check(options);
  std::vector<std::size_t> units = options.hidden;
  units.push_back(options.classes);
  std::string description = "cnn " + text_of(options.input);
  if (!options.convolutions.empty()) description += " conv " + text_of(options.convolutions);
  auto network = std::make_unique<Network<T>>(
      NetworkOptions{.description = description + " dense " + text_of(units), .input = options.input});
  for (std::size_t l = 0; l < options.convolutions.size(); ++l) {
    const ImageExtent input = network->extent();
    const std::string name = "conv" + std::to_string(l);
    const double bound = bound_of(9 * input.channels);
    if (l == 0 && input.channels == 1) {
      network->add(std::make_unique<layers::PlaneConvolution<T>>(
          network->store(), network->workspace(),
          layers::PlaneConvolutionOptions{
              .name = name, .input = input, .outputs = options.convolutions[l], .bound = bound}));
    } else {
      network->add(std::make_unique<layers::PooledConvolution<T>>(
          network->store(), network->workspace(),
          layers::PooledConvolutionOptions{
              .name = name, .input = input, .outputs = options.convolutions[l], .bound = bound}));
    }
  }
  for (std::size_t l = 0; l < units.size(); ++l) {
    const std::size_t inputs = network->extent().elements();
    network->add(
        std::make_unique<layers::Dense<T>>(network->store(), layers::DenseOptions{.name = "dense" + std::to_string(l),
                                                                                  .inputs = inputs,
                                                                                  .outputs = units[l],
                                                                                  .relu = l + 1 < units.size(),
                                                                                  .bound = bound_of(inputs)}));
  }
  network->finish(options.seed, options.rows);
  return network;
}

}  // namespace

template <class T>
Cnn<T>::Cnn(const CnnOptions& options) : ImageClassifier<T>(network_of<T>(options)) {}

template class Cnn<float>;
template class Cnn<double>;

}  // namespace trireme::models
