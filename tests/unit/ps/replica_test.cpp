// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "unit/ps/served.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

/// Counters on two servers, each with its replica on the other.
struct Counting {
  Served served{{tensor("a", 2'000), tensor("b", 2'000), tensor("c", 2'000), tensor("d", 2'000)},
                {.servers = 2, .loops = 2, .partition_bytes = Bytes{16'384}, .replicas = true}};
  std::unique_ptr<ps::Client> client;
  std::vector<std::vector<float>> values = std::vector<std::vector<float>>(4, std::vector<float>(2'000, 0.0f));
  const std::vector<float> ones = std::vector<float>(2'000, 1.0f);
  std::uint64_t step = 0;

  Counting() {
    served.start_all();
    client = served.client();
    std::vector<ps::Client::InitialTensor> initial;
    for (const auto& each : values) initial.push_back({.values = std::span<const float>(each)});
    client->initialise(initial);
  }
  void count() {
    ++step;
    for (std::size_t t = 0; t < 4; ++t)
      client->push(t, {0, 2'000}, std::span<const float>(ones), {.step = step, .learning_rate = 1.0});
  }
  /// Whether every element counts every push.
  bool is_complete() {
    client->wait_acknowledged();
    for (std::size_t t = 0; t < 4; ++t) client->pull(t, step, std::span(values[t]));
    for (std::size_t t = 0; t < 4; ++t) client->wait_values(t);
    for (const auto& each : values) {
      if (each != std::vector<float>(2'000, -static_cast<float>(step))) return false;
    }
    return true;
  }
};

}  // namespace

TEST_CASE("When one of two servers dies in the middle of pushes, the other goes on and nothing acknowledged is lost") {
  Counting counting;
  for (int i = 0; i < 5; ++i) counting.count();
  CHECK(counting.is_complete());
  const std::uint32_t victim = GENERATE(0u, 1u);
  for (int i = 0; i < 20; ++i) {
    counting.count();
    if (i == 10) counting.served.servers[victim].reset();  // no goodbye
  }
  CHECK(counting.is_complete());
  CHECK(counting.client->statistics().takeovers == 1);
  CHECK(counting.client->statistics().last_takeover_seconds > 0.0);
}

TEST_CASE("A server that comes back has what its replica held, and can be the one that is left") {
  Counting counting;
  for (std::uint32_t round = 0; round < 4; ++round) {
    const std::uint32_t victim = round % 2;
    for (int i = 0; i < 5; ++i) counting.count();
    counting.served.servers[victim].reset();
    for (int i = 0; i < 5; ++i) counting.count();
    CHECK(counting.is_complete());
    counting.served.start(victim);
    INFO("round " << round);
    // It holds all again once each loop has a connection from the other server, and to it, and a worker's.
    for (const std::uint32_t server : {victim, 1 - victim})
      REQUIRE(comes_true([&] { return counting.served.servers[server]->statistics().connections == 6; }));
    counting.count();
    CHECK(counting.is_complete());
  }
}
