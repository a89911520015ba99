// SPDX-License-Identifier: Apache-2.0
// Workers and servers through TLS: the same bits, and nobody on the way reads them.
#include "support/failures.hpp"
#include "support/relay.hpp"
#include "unit/ps/served.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <numeric>

using namespace trireme;
using namespace trireme::testing;

namespace {

constexpr std::size_t count = 300'000;

/// Values that are read back as they were set, and a push off them.
void exchange(Served& served) {
  auto client = served.client();
  std::vector<float> values(count), read(count);
  std::iota(values.begin(), values.end(), 1.0f);
  const std::vector<ps::Client::InitialTensor> initial{{.values = std::span<const float>(values)}};
  client->initialise(initial);
  client->pull(0, 0, std::span(read));
  client->wait_values(0);
  CHECK((read == values));
  const std::vector<float> gradient(count, 1.0f);
  for (std::uint64_t step = 1; step <= 5; ++step)
    client->push(0, {0, count}, std::span<const float>(gradient), {.step = step, .learning_rate = 1.0});
  client->pull(0, 5, std::span(read));
  CHECK(client->wait_values(0) == 5);
  for (std::size_t i = 0; i < count; ++i) values[i] = (((((values[i] - 1) - 1) - 1) - 1) - 1);
  CHECK((read == values));
}

}  // namespace

TEST_CASE("Through TLS values and gradients are the same, over TCP and within a host, with replicas too") {
  const bool replicas = GENERATE(false, true);
  Served served({tensor("w", count)},
                {.servers = 2, .loops = 2, .partition_bytes = Bytes{100'000}, .replicas = replicas});
  served.tls = true;
  served.by_tcp = GENERATE(false, true);
  served.start_all();
  exchange(served);
}

TEST_CASE("What goes over the wire through TLS shows nothing of what is said") {
  for (const bool tls : {false, true}) {
    Served served({tensor("w", count)});
    served.tls = tls;
    ps::Server& server = served.start(0);
    Relay relay(server.card().addresses.front(), std::nullopt, Relay::Side::to_server);
    served.by_tcp = true;
    served.cards[0].addresses = {relay.address()};
    exchange(served);
    // Ten values one after the other, as they lie in memory; and the words of the first message.
    std::vector<float> pattern(10);
    std::iota(pattern.begin(), pattern.end(), 1000.0f);
    CHECK(relay.has_seen(std::as_bytes(std::span(pattern))) == !tls);
    CHECK(relay.has_seen(std::as_bytes(std::span(std::string_view("async")))) == !tls);
  }
}

TEST_CASE("A worker and a server of which one wants TLS and the other does not refuse each other, and say why") {
  for (const bool of_server : {false, true}) {
    Served served({tensor("w", 8)});
    served.tls = of_server;
    ps::Server& server = served.start(0);
    auto options = served.client_options();
    options.tls = !of_server;
    const Error error = error_of([&] { ps::Client::connect(options, soon()); });
    CHECK(error.code == ErrorCode::mismatch);
    CHECK(has(error.message, "'ps'"));
    CHECK(has(error.message, "'ps over TLS'"));
    CHECK(has(error.message, "parameter server 0"));
    CHECK(comes_true([&] { return server.statistics().refused >= 1; }));
    CHECK(server.present() == 0);
  }
}

TEST_CASE("With another job key there is no TLS, and the error says it is the key") {
  Served served({tensor("w", 8)});
  served.tls = true;
  served.start(0);
  auto options = served.client_options();
  options.key = net::JobKey::random();
  const Error error = error_of([&] { ps::Client::connect(options, soon()); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(has(error.message, "wrong job key"));
}
