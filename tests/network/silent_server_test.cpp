// SPDX-License-Identifier: Apache-2.0
// A server whose host dies while nothing waits in its peers' queues: all that was sent to it fits into their kernels' buffers.
#include "network/ranks.hpp"
#include "support/failures.hpp"
#include "unit/ps/served.hpp"

#include <catch2/catch.hpp>

#include <future>
#include <stdexcept>

using namespace trireme;
using namespace trireme::testing;

namespace {

/// What `body` returns, run on `host`.
template <class Body>
auto on_host(const Lab& lab, int host, Body&& body) {
  return std::async(std::launch::async,
                    [&] {
                      lab.enter(host);
                      return body();
                    })
      .get();
}

}  // namespace

TEST_CASE("a server whose host is cut off between small pushes is noticed, and what it held is served by another") {
  if (!can_make_lab()) return;
  Lab lab({.hosts = 3});
  Served served({tensor("a", 8), tensor("b", 8)}, {.servers = 2, .replicas = true});
  served.by_tcp = true;
  std::atomic<bool> is_cut = false;
  // The one that is cut off does not reach the store either.
  served.said_elsewhere = [&](std::uint32_t server, const std::string& what, const std::string& text) {
    if (is_cut && server == 0) throw std::runtime_error("the store is not reached");
    std::lock_guard lock(served.mutex);
    return served.decided.try_emplace(what, text).first->second;
  };
  for (std::uint32_t server : {0u, 1u}) {
    auto options = served.server_options(server);
    options.bind = {{lab.address(static_cast<int>(server)), 0}};
    served.servers[server] = on_host(lab, static_cast<int>(server), [&] { return ps::Server::start(options); });
    std::lock_guard lock(served.mutex);
    served.cards[server] = served.servers[server]->card();
  }
  auto options = served.client_options();
  options.timeout = std::chrono::seconds(45);
  const auto client = on_host(lab, 2, [&] { return ps::Client::connect(options, soon()); });
  std::vector<float> values(8, 0.0f);
  const std::vector<float> ones(8, 1.0f);
  client->initialise(std::vector<ps::Client::InitialTensor>(2, {.values = std::span<const float>(values)}));
  const auto push = [&](std::uint64_t step) {
    for (std::size_t t : {0u, 1u})
      client->push(t, {0, 8}, std::span<const float>(ones), {.step = step, .learning_rate = 1.0});
    client->wait_acknowledged();
  };
  push(1);
  for (const auto& server : served.servers)
    REQUIRE(comes_true([&] { return server->statistics().replicated_groups == 1; }));
  is_cut = true;
  lab.cut_off(0);
  push(2);
  for (std::size_t t : {0u, 1u}) {
    client->pull(t, 2, std::span(values));
    CHECK(client->wait_values(t) == 2);
    CHECK(values == std::vector<float>(8, -2.0f));
  }
  CHECK(client->statistics().takeovers == 1);
  CHECK(served.servers[1]->statistics().served_groups == 2);
}
