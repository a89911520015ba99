// SPDX-License-Identifier: Apache-2.0
#include "cli/train/optimizers.hpp"

#include "trireme/base/error.hpp"
#include "trireme/optim/adadelta.hpp"
#include "trireme/optim/adafactor.hpp"
#include "trireme/optim/adagrad.hpp"
#include "trireme/optim/adam.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/lamb.hpp"
#include "trireme/optim/lars.hpp"
#include "trireme/optim/lion.hpp"
#include "trireme/optim/muon.hpp"
#include "trireme/optim/nadam.hpp"
#include "trireme/optim/rmsprop.hpp"
#include "trireme/optim/sgd.hpp"

namespace trireme::cli {
namespace {

/// Rules that have only what every rule has.
template <class Rule, class Options>
std::unique_ptr<Optimizer> plain(const OptimizerChoice& choice) {
  Options options;
  options.learning_rate = choice.learning_rate;
  options.weight_decay = choice.weight_decay;
  options.l2_penalty = choice.l2_penalty;
  return std::make_unique<Rule>(options);
}

std::unique_ptr<Optimizer> sgd(const OptimizerChoice& choice) {
  return std::make_unique<Sgd>(SgdOptions{.learning_rate = choice.learning_rate,
                                          .momentum = choice.momentum,
                                          .l2_penalty = choice.l2_penalty,
                                          .weight_decay = choice.weight_decay,
                                          .nesterov = choice.nesterov});
}

std::unique_ptr<Optimizer> lars(const OptimizerChoice& choice) {
  return std::make_unique<Lars>(LarsOptions{.learning_rate = choice.learning_rate,
                                            .momentum = choice.momentum,
                                            .l2_penalty = choice.l2_penalty,
                                            .weight_decay = choice.weight_decay,
                                            .nesterov = choice.nesterov});
}

std::unique_ptr<Optimizer> rmsprop(const OptimizerChoice& choice) {
  return std::make_unique<RmsProp>(RmsPropOptions{.learning_rate = choice.learning_rate,
                                                  .momentum = choice.momentum,
                                                  .l2_penalty = choice.l2_penalty,
                                                  .weight_decay = choice.weight_decay});
}

/// Vectors, and what is left to AdamW, at a twentieth of the rate, with the same decay.
std::unique_ptr<Optimizer> muon(const OptimizerChoice& choice) {
  return std::make_unique<Muon>(MuonOptions{.learning_rate = choice.learning_rate,
                                            .momentum = choice.momentum,
                                            .l2_penalty = choice.l2_penalty,
                                            .weight_decay = choice.weight_decay,
                                            .adamw = {.learning_rate = choice.learning_rate / 20,
                                                      .l2_penalty = choice.l2_penalty,
                                                      .weight_decay = choice.weight_decay}});
}

}  // namespace

const std::vector<OptimizerEntry>& optimizers() {
  static const std::vector<OptimizerEntry> all{
      {"sgd", 0.05, 0.0, true, true, 0.9, sgd},
      {"adam", 1e-3, 0.0, false, false, 0.0, plain<Adam, AdamOptions>},
      {"adamw", 1e-3, 1e-2, false, false, 0.0, plain<AdamW, AdamWOptions>},
      {"nadam", 1e-3, 0.0, false, false, 0.0, plain<NAdam, NAdamOptions>},
      {"rmsprop", 1e-3, 0.0, true, false, 0.0, rmsprop},
      {"adagrad", 1e-2, 0.0, false, false, 0.0, plain<Adagrad, AdagradOptions>},
      {"adadelta", 1.0, 0.0, false, false, 0.0, plain<Adadelta, AdadeltaOptions>},
      {"lion", 1e-4, 0.0, false, false, 0.0, plain<Lion, LionOptions>},
      {"lamb", 5e-3, 0.0, false, false, 0.0, plain<Lamb, LambOptions>},
      {"lars", 5.0, 0.0, true, true, 0.9, lars},
      {"adafactor", 1e-2, 0.0, false, false, 0.0, plain<Adafactor, AdafactorOptions>},
      {"muon", 2e-2, 0.0, true, false, 0.95, muon},
  };
  return all;
}

const OptimizerEntry& optimizer_named(std::string_view name) {
  for (const OptimizerEntry& each : optimizers()) {
    if (each.name == name) return each;
  }
  fail(ErrorCode::invalid_argument,
       "--optimizer is '" + std::string(name) + "'; this version has: " + optimizer_names());
}

std::string optimizer_names() {
  std::string list;
  for (const OptimizerEntry& each : optimizers()) list += (list.empty() ? "" : ", ") + std::string(each.name);
  return list;
}

}  // namespace trireme::cli
