// SPDX-License-Identifier: Apache-2.0
#pragma once

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

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trireme::testing {

/// Every rule once or more, with settings that no default would hide.
struct NamedRule {
  std::string name;
  std::function<std::unique_ptr<Optimizer>()> make;
};

inline std::vector<NamedRule> all_rules() {
  const auto of = [](std::string name, auto options, auto make) {
    return NamedRule{std::move(name), [options, make] { return make(options); }};
  };
  const auto made = []<class Rule>(Rule*) {
    return [](const auto& options) -> std::unique_ptr<Optimizer> { return std::make_unique<Rule>(options); };
  };
  return {
      of("sgd", SgdOptions{.learning_rate = 0.1, .l2_penalty = 0.01, .weight_decay = 0.02}, made((Sgd*)nullptr)),
      of("momentum", SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.2, .l2_penalty = 0.1},
         made((Sgd*)nullptr)),
      of("nesterov", SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true},
         made((Sgd*)nullptr)),
      of("adam", AdamOptions{.learning_rate = 0.02, .l2_penalty = 0.1}, made((Adam*)nullptr)),
      of("adamw", AdamWOptions{.learning_rate = 0.02, .weight_decay = 0.3}, made((AdamW*)nullptr)),
      of("nadam", NAdamOptions{.learning_rate = 0.02, .momentum_decay = 0.1, .weight_decay = 0.1},
         made((NAdam*)nullptr)),
      of("rmsprop", RmsPropOptions{.learning_rate = 0.01, .l2_penalty = 0.1}, made((RmsProp*)nullptr)),
      of("rmsprop centered with momentum",
         RmsPropOptions{.learning_rate = 0.01,
                        .alpha = 0.9,
                        .epsilon = 1e-3,
                        .momentum = 0.9,
                        .weight_decay = 0.1,
                        .centered = true},
         made((RmsProp*)nullptr)),
      of("adagrad",
         AdagradOptions{.learning_rate = 0.1, .rate_decay = 0.01, .initial_accumulator = 0.1, .weight_decay = 0.1},
         made((Adagrad*)nullptr)),
      of("adadelta", AdadeltaOptions{.l2_penalty = 0.05, .weight_decay = 0.01}, made((Adadelta*)nullptr)),
      of("lion", LionOptions{.learning_rate = 0.01, .weight_decay = 0.5}, made((Lion*)nullptr)),
      of("lamb", LambOptions{.learning_rate = 0.02, .weight_decay = 0.1}, made((Lamb*)nullptr)),
      of("lars", LarsOptions{.learning_rate = 2.0, .trust = 0.02, .weight_decay = 0.1}, made((Lars*)nullptr)),
      of("lars nesterov", LarsOptions{.learning_rate = 2.0, .trust = 0.02, .weight_decay = 0.1, .nesterov = true},
         made((Lars*)nullptr)),
      of("adafactor", AdafactorOptions{.learning_rate = 0.05, .weight_decay = 0.1}, made((Adafactor*)nullptr)),
      of("muon", MuonOptions{.learning_rate = 0.02, .weight_decay = 0.1}, made((Muon*)nullptr)),
      of("muon plain",
         MuonOptions{.learning_rate = 0.1,
                     .momentum = 0.8,
                     .nesterov = false,
                     .iterations = 3,
                     .l2_penalty = 0.1,
                     .scale = MuonScale::match_adamw},
         made((Muon*)nullptr)),
  };
}

}  // namespace trireme::testing
