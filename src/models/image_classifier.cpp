// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/image_classifier.hpp"

#include "models/network.hpp"

#include <utility>

namespace trireme::models {

template <class T>
ImageClassifier<T>::ImageClassifier(std::unique_ptr<Network<T>> network) : network_(std::move(network)) {}
template <class T>
ImageClassifier<T>::ImageClassifier(ImageClassifier&&) noexcept = default;
template <class T>
ImageClassifier<T>& ImageClassifier<T>::operator=(ImageClassifier&&) noexcept = default;
template <class T>
ImageClassifier<T>::~ImageClassifier() = default;

template <class T>
const std::vector<Parameter>& ImageClassifier<T>::parameters() const {
  return network_->store().parameters();
}

template <class T>
void ImageClassifier<T>::use_gradients(std::span<const Parameter> parameters) {
  network_->store().use_gradients(parameters);
}

template <class T>
void ImageClassifier<T>::use_access(ParameterAccess& access) {
  network_->store().use_access(access);
}

template <class T>
std::size_t ImageClassifier<T>::inputs() const {
  return network_->options().input.elements();
}

template <class T>
std::size_t ImageClassifier<T>::classes() const {
  return network_->classes();
}

template <class T>
std::string ImageClassifier<T>::description() const {
  return network_->options().description;
}

template <class T>
std::span<const Parameter> ImageClassifier<T>::buffers() const {
  return network_->store().buffers();
}

template <class T>
std::span<const double> ImageClassifier<T>::statistics() const {
  return network_->store().statistics();
}

template <class T>
void ImageClassifier<T>::settle_buffers(std::span<const double> statistics) {
  network_->store().settle_buffers(statistics, network_->options().momentum);
}

template <class T>
void ImageClassifier<T>::use_statistics_exchange(StatisticsExchange* exchange) {
  if (buffers().empty()) return Classifier::use_statistics_exchange(exchange);
  network_->store().share_statistics(exchange);
}

template <class T>
double ImageClassifier<T>::run(ConstTensorView features, std::span<const std::uint8_t> labels,
                               const Listener& listener) {
  return network_->run(features, labels, listener);
}

template <class T>
Evaluation ImageClassifier<T>::evaluate_rows(ConstTensorView features, std::span<const std::uint8_t> labels,
                                             std::span<double> losses) {
  return network_->evaluate(features, labels, losses);
}

template class ImageClassifier<float>;
template class ImageClassifier<double>;

}  // namespace trireme::models
