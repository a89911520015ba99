// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/train_step/trainee.hpp"
#include "trireme/data/batch_loader.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/models/classifier.hpp"

namespace trireme::bench {

/// A classifier of images: MLP or CNN.
class ImageTrainee final : public Trainee {
 public:
  explicit ImageTrainee(const TrainStepOptions& options);
  std::string data() const override { return set_.name; }
  std::size_t samples() const override { return set_.size(); }
  const std::vector<Parameter>& parameters() const override { return model_->parameters(); }
  void use_gradients(std::span<const Parameter> parameters) override { model_->use_gradients(parameters); }
  void gather(std::span<const std::uint32_t> samples) override;
  double pass(const std::function<void(std::size_t parameter)>& ready) override;

 private:
  data::LabelledImages set_;
  std::unique_ptr<models::Classifier> model_;
  data::BatchLoader loader_;
  data::Batch batch_;
};

}  // namespace trireme::bench
