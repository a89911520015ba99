// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/models/classifier.hpp"
#include "trireme/models/image_extent.hpp"

#include <memory>
#include <type_traits>

namespace trireme::models {

template <class T>
class Network;

/// What the models of images have in common: a network of layers behind the calls of a classifier.
template <class T>
class ImageClassifier : public Classifier {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);

 public:
  ImageClassifier(ImageClassifier&&) noexcept;
  ImageClassifier& operator=(ImageClassifier&&) noexcept;
  ~ImageClassifier() override;

  const std::vector<Parameter>& parameters() const override;
  void use_gradients(std::span<const Parameter> parameters) override;
  void use_access(ParameterAccess& access) override;
  std::size_t inputs() const override;
  std::size_t classes() const override;
  std::string description() const override;
  std::span<const Parameter> buffers() const override;
  std::span<const double> statistics() const override;
  void settle_buffers(std::span<const double> statistics) override;
  void use_statistics_exchange(StatisticsExchange* exchange) override;

 protected:
  explicit ImageClassifier(std::unique_ptr<Network<T>> network);

 private:
  double run(ConstTensorView features, std::span<const std::uint8_t> labels, const Listener& listener) override;
  Evaluation evaluate_rows(ConstTensorView features, std::span<const std::uint8_t> labels,
                           std::span<double> losses) override;

  std::unique_ptr<Network<T>> network_;
};

extern template class ImageClassifier<float>;
extern template class ImageClassifier<double>;

}  // namespace trireme::models
