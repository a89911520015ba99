// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// What --optimizer and the flags beside it say, checked. The defaults are those of --optimizer sgd.
struct OptimizerChoice {
  std::string name = "sgd";
  double learning_rate = 0.05;
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0.0;
  double l2_penalty = 0.0;
};

/// One rule that --optimizer offers.
struct OptimizerEntry {
  std::string_view name;
  double learning_rate;  ///< default
  double weight_decay;   ///< default
  bool has_momentum;     ///< --momentum means something to it
  bool has_nesterov;
  double momentum;  ///< default
  std::unique_ptr<Optimizer> (*make)(const OptimizerChoice& choice);
};

const std::vector<OptimizerEntry>& optimizers();
/// Errors: invalid_argument listing what there is.
const OptimizerEntry& optimizer_named(std::string_view name);
/// "sgd, adam, …".
std::string optimizer_names();

}  // namespace trireme::cli
