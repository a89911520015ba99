// SPDX-License-Identifier: Apache-2.0
// A client of servers in this process that has failed does nothing any more, as one over a network.
#include "trireme/ps/in_process.hpp"

#include "support/failures.hpp"
#include "trireme/optim/sgd.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <memory>
#include <vector>

using namespace trireme;
using namespace trireme::testing;

TEST_CASE("A worker whose wait has failed writes to no memory that it was given, and later calls say why") {
  const ps::InProcessServers servers(
      {.plan = std::make_shared<const ps::KeyPlan>(std::vector<ps::TensorInfo>{{.name = "w", .shape = {4}}},
                                                   ps::KeyPlanOptions{}),
       .consistency = ps::Consistency::parse("ssp:1"),
       .workers = 2,
       .leaves = 2,
       .make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0}); }});
  const auto one = servers.connect(0, std::chrono::milliseconds(50)),
             two = servers.connect(1, std::chrono::seconds(60));
  const std::vector<float> ones(4, 1.0f);
  one->initialise(std::vector<ps::Client::InitialTensor>{{.values = std::span<const float>(ones)}});
  for (const std::uint64_t step : {1u, 2u})
    one->push(0, {0, 4}, std::span<const float>(ones), {.step = step, .learning_rate = 1.0});
  std::vector<float> values(4, 7.0f), others(4);
  one->pull(0, 2, std::span(values));  // waits for the other one's clock
  const Error error = error_of([&] { one->wait_values(0); });
  CHECK(error.code == ErrorCode::timeout);
  CHECK(has(error.message, "the values of 'w'"));
  two->push(0, {0, 4}, std::span<const float>(ones), {.step = 1, .learning_rate = 1.0});
  two->pull(0, 1, std::span(others));
  two->wait_values(0);
  CHECK(others == std::vector<float>(4, -2.0f));
  const auto says_why = [&](auto&& call) { return error_of(call).message == error.message; };
  CHECK(says_why([&] { one->wait_values(0); }));
  CHECK(says_why([&] { one->read_state(0); }));
  CHECK(says_why([&] { one->push(0, {0, 4}, std::span<const float>(ones), {.step = 3, .learning_rate = 1.0}); }));
  CHECK(values == std::vector<float>(4, 7.0f));
}
