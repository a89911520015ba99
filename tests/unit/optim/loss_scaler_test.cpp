// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/loss_scaler.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using Catch::Matchers::Contains;

TEST_CASE("a loss scale halves when a step is not finite and doubles after enough that are") {
  LossScaler scaler({.initial = 1024, .interval = 3, .least = 256, .most = 4096});
  REQUIRE(scaler.scale() == 1024);
  scaler.update(false);
  REQUIRE(scaler.scale() == 512);
  scaler.update(true);
  scaler.update(true);
  scaler.update(false);  // the count begins anew
  REQUIRE(scaler.scale() == 256);
  scaler.update(false);
  REQUIRE(scaler.scale() == 256);  // the least
  for (int i = 0; i < 3; ++i) scaler.update(true);
  REQUIRE(scaler.scale() == 512);
  for (int i = 0; i < 100; ++i) scaler.update(true);
  REQUIRE(scaler.scale() == 4096);  // the most
  REQUIRE(scaler.state().skipped == 3);
  LossScaler again;
  again.restore(scaler.state());
  REQUIRE(again.scale() == 4096);
}

TEST_CASE("a loss scaler that cannot be is refused by name") {
  const auto refused = [](const LossScalerOptions& options, const std::string& part) {
    REQUIRE_THROWS_WITH(LossScaler(options), Contains("loss scaler") && Contains(part));
  };
  refused({.initial = 0}, "initial");
  refused({.growth = 1.0}, "growth");
  refused({.backoff = 1.0}, "backoff");
  refused({.least = 4, .most = 2}, "least is above most");
  LossScaler scaler;
  REQUIRE_THROWS_WITH(scaler.restore({.scale = -1}), Contains("the saved scale"));
}
