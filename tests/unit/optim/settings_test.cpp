// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace trireme;
using Catch::Matchers::Contains;

namespace {

/// What making an optimizer of these settings is refused with; empty if it is not.
template <class Rule, class Settings>
std::string refusal(const Settings& settings) {
  try {
    Rule rule(settings);
    return {};
  } catch (const Exception& refused) {
    REQUIRE(refused.error().code == ErrorCode::invalid_argument);
    REQUIRE(refused.error().message.find('\n') == std::string::npos);
    return refused.error().message;
  }
}

}  // namespace

TEST_CASE("Sgd refuses settings out of range by name") {
  const double bad = GENERATE(-0.1, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
  CAPTURE(bad);
  REQUIRE_THAT((refusal<Sgd, SgdOptions>({.learning_rate = bad})), Contains("sgd: learning_rate"));
  REQUIRE_THAT((refusal<Sgd, SgdOptions>({.momentum = bad})), Contains("sgd: momentum"));
  REQUIRE_THAT((refusal<Sgd, SgdOptions>({.momentum = 0.9, .dampening = bad})), Contains("sgd: dampening"));
  REQUIRE_THAT((refusal<Sgd, SgdOptions>({.l2_penalty = bad})), Contains("sgd: l2_penalty"));
}

TEST_CASE("Sgd refuses nesterov without momentum or with dampening") {
  REQUIRE_THAT((refusal<Sgd, SgdOptions>({.nesterov = true})), Contains("nesterov"));
  REQUIRE_THAT((refusal<Sgd, SgdOptions>({.momentum = 0.9, .dampening = 0.1, .nesterov = true})), Contains("nesterov"));
  REQUIRE((refusal<Sgd, SgdOptions>({.momentum = 0.9, .nesterov = true})).empty());
}

TEST_CASE("AdamW refuses settings out of range by name") {
  const double bad = GENERATE(-0.1, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
  CAPTURE(bad);
  REQUIRE_THAT((refusal<AdamW, AdamWOptions>({.learning_rate = bad})), Contains("adamw: learning_rate"));
  REQUIRE_THAT((refusal<AdamW, AdamWOptions>({.beta1 = bad})), Contains("adamw: beta1"));
  REQUIRE_THAT((refusal<AdamW, AdamWOptions>({.beta2 = bad})), Contains("adamw: beta2"));
  REQUIRE_THAT((refusal<AdamW, AdamWOptions>({.epsilon = bad})), Contains("adamw: epsilon"));
  REQUIRE_THAT((refusal<AdamW, AdamWOptions>({.weight_decay = bad})), Contains("adamw: weight_decay"));
  REQUIRE_THAT((refusal<AdamW, AdamWOptions>({.beta1 = 1.0})), Contains("beta1 is 1"));
  REQUIRE_THAT((refusal<AdamW, AdamWOptions>({.beta2 = 1.0})), Contains("beta2 is 1"));
}

TEST_CASE("a refused learning rate leaves the one there was") {
  Sgd sgd({.learning_rate = 0.5});
  AdamW adamw({.learning_rate = 0.25});
  for (Optimizer* each : {static_cast<Optimizer*>(&sgd), static_cast<Optimizer*>(&adamw)}) {
    const double before = each->learning_rate();
    REQUIRE_THROWS_WITH(each->set_learning_rate(-1.0), Contains(std::string(each->name()) + ": learning_rate is -1"));
    REQUIRE_THROWS_AS(each->set_learning_rate(std::nan("")), Exception);
    REQUIRE_THROWS_WITH(each->set_learning_rate(-1.0), !Contains("inf"));  // a limit that is none is not named
    REQUIRE(each->learning_rate() == before);
    each->set_learning_rate(0.0);
    REQUIRE(each->learning_rate() == 0.0);
  }
}
