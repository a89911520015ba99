// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/data/batch_loader.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/models/tabular.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace trireme::cli {

// What a program that has never heard of Trireme must know beside a model's weights to compute the same outputs: JSON objects with
// the keys "model", "architecture", "layout" (of the tensors), "input" (from raw values to features) and "output".

/// Of mlp, cnn and resnet.
std::string image_config(const TrainOptions& options, const data::LabelledImages& images,
                         const data::Normalisation& normalisation);

/// Of gpt.
std::string text_config(const TrainOptions& options, const models::GptOptions& model);

/// What is done to the values and the labels of a table's rows; of scalings at most one is there.
struct TableConfig {
  const models::TabularOptions& model;
  std::span<const std::string> names{};         ///< of the features; empty: they have none
  std::span<const double> mean{};               ///< of dense features that are standardised
  std::span<const double> inverse_deviation{};  ///< of the same
  std::span<const double> factor{};             ///< of sparse features that are scaled
  std::span<const float> labels{};              ///< of each class
};
/// Of linear, logistic and mlp.
std::string table_config(const TrainOptions& options, const TableConfig& table);

/// Where weights come from.
struct Provenance {
  DType dtype = DType::f32;  ///< of the parameters in the file
  std::uint64_t steps = 0;
  std::uint64_t best_step = 0;  ///< 0: the weights are those of the end
  std::string dataset{};
  std::string weights_xxh3{};
};
/// One of the above with what is known of every model before it: a line for each key.
std::string with_provenance(const std::string& config, const Provenance& provenance);

}  // namespace trireme::cli
