// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/data/batch_loader.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/models/mlp.hpp"

#include <span>
#include <vector>

namespace trireme::bench {

/// Values of a model's parameters, one after another.
using Values = std::vector<float>;
Values values_of(std::span<const Parameter> parameters);

/// Mean and deviation of the set's pixels.
data::Normalisation normalisation_of(const data::LabelledImages& set);

struct Verdict {
  double train_loss = 0.0;  ///< over the first 10000 training samples
  double test_loss = 0.0;
  double test_accuracy = 0.0;
};
/// What these values of such a model are worth.
Verdict judge(const Values& values, const models::MlpOptions& model, const data::TrainAndTest& sets);

}  // namespace trireme::bench
