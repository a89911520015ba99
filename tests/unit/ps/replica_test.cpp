// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "support/relay.hpp"
#include "trireme/rendezvous/server.hpp"
#include "unit/ps/served.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

/// Counters on servers, each with its replica on the next one.
struct Counting {
  Served served;
  std::vector<std::unique_ptr<Relay>> relays;
  std::unique_ptr<ps::Client> client;
  std::vector<std::vector<float>> values = std::vector<std::vector<float>>(4, std::vector<float>(2'000, 0.0f));
  const std::vector<float> ones = std::vector<float>(2'000, 1.0f);
  std::uint64_t step = 0;

  explicit Counting(std::uint32_t servers = 2, decltype(Served::said_elsewhere) said = {})
      : served({tensor("a", 2'000), tensor("b", 2'000), tensor("c", 2'000), tensor("d", 2'000)},
               {.servers = servers, .loops = 2, .partition_bytes = Bytes{16'384}, .replicas = true}) {
    served.said_elsewhere = std::move(said);
    served.start_all();
    begin();
  }
  /// Two servers that reach each other through relays.
  struct ByRelays {};
  static constexpr ByRelays by_relays{};
  explicit Counting(ByRelays)
      : served({tensor("a", 2'000), tensor("b", 2'000), tensor("c", 2'000), tensor("d", 2'000)},
               {.servers = 2, .loops = 2, .partition_bytes = Bytes{16'384}, .replicas = true}) {
    // Addresses are known before anybody dials: servers see each other's cards once both are there.
    for (const std::uint32_t server : {0u, 1u}) served.cuts.insert({server, 1 - server});
    served.start_all();
    for (const std::uint32_t server : {0u, 1u}) {
      relays.push_back(
          std::make_unique<Relay>(served.cards[server].addresses.front(), std::nullopt, Relay::Side::to_server));
      std::lock_guard lock(served.mutex);
      served.ways[server] = relays.back()->address();
    }
    {
      std::lock_guard lock(served.mutex);
      served.cuts.clear();
    }
    begin();
  }
  void block(bool blocked) {
    for (auto& relay : relays) relay->block(blocked);
  }
  void begin() {
    client = served.client();
    std::vector<ps::Client::InitialTensor> initial;
    for (const auto& each : values) initial.push_back({.values = std::span<const float>(each)});
    client->initialise(initial);
  }
  /// Whether the keys of each server, in both loops, are served by one and have a replica.
  bool is_replicated() {
    std::size_t served_groups = 0, replicated = 0;
    for (const auto& server : served.servers) {
      if (!server) continue;
      served_groups += server->statistics().served_groups;
      replicated += server->statistics().replicated_groups;
    }
    return served_groups == 2 * served.servers.size() && replicated == served_groups;
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
  REQUIRE(comes_true([&] { return counting.is_replicated(); }));
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

TEST_CASE("What a server served whose event loop failed, its replica serves, in all loops") {
  Counting counting;
  REQUIRE(comes_true([&] { return counting.is_replicated(); }));
  for (int i = 0; i < 5; ++i) counting.count();
  CHECK(counting.is_complete());
  counting.served.lines.before = throw_at("has ended itself");
  {
    RawWorker other(counting.served, 0, 1, 7);
    other.hear_of<ps::Welcome>();
    other.say(ps::Leave{.lost = true});
    CHECK(other.is_closed());
  }
  for (int i = 0; i < 5; ++i) counting.count();
  CHECK(counting.is_complete());
  REQUIRE(comes_true([&] { return counting.served.servers[0]->failure().has_value(); }));
  CHECK(counting.client->statistics().takeovers == 1);
}

TEST_CASE("A server that comes back has what its replica held, and can be the one that is left") {
  Counting counting;
  REQUIRE(comes_true([&] { return counting.is_replicated(); }));
  for (std::uint32_t round = 0; round < 4; ++round) {
    const std::uint32_t victim = round % 2;
    for (int i = 0; i < 5; ++i) counting.count();
    counting.served.servers[victim].reset();
    for (int i = 0; i < 5; ++i) counting.count();
    CHECK(counting.is_complete());
    counting.served.start(victim);
    INFO("round " << round);
    // It holds all again once each loop of the other server has its replica there; and the worker knows the way.
    REQUIRE(comes_true([&] { return counting.is_replicated(); }));
    REQUIRE(comes_true([&] { return counting.served.servers[victim]->present() == 1; }));
    counting.count();
    CHECK(counting.is_complete());
  }
}

TEST_CASE(
    "Of three servers one dies, keys have replicas on the two that are left, and of those one dies: nothing is lost") {
  Counting counting(3);
  for (const std::uint32_t victim : {1u, GENERATE(0u, 2u)}) {
    REQUIRE(comes_true([&] { return counting.is_replicated(); }));
    for (int i = 0; i < 20; ++i) {
      counting.count();
      if (i == 10) counting.served.servers[victim].reset();  // no goodbye
    }
    CHECK(counting.is_complete());
  }
  CHECK(counting.client->statistics().takeovers == 2);
}

TEST_CASE(
    "Servers whose connections to the job's store broke have it decided all the same that one serves for the other") {
  const net::JobKey key = net::JobKey::random();
  const auto store = rendezvous::Server::start({.key = key, .job_id = "job"});
  Relay relay(store->address(), std::nullopt, Relay::Side::to_server);
  struct Way {
    std::mutex mutex;
    std::unique_ptr<rendezvous::Store> store;
  } ways[2];
  for (Way& way : ways)
    way.store = rendezvous::connect_lasting_store({.address = relay.address(), .key = key, .job_id = "job"}, soon());
  Counting counting(2, [&](std::uint32_t server, const std::string& what, const std::string& text) {
    const std::lock_guard lock(ways[server].mutex);
    try {
      ways[server].store->set(what, text);
      return text;
    } catch (const Exception& caught) {
      if (caught.error().code != ErrorCode::invalid_argument) throw;
      return ways[server].store->get(what, soon());
    }
  });
  REQUIRE(comes_true([&] { return counting.is_replicated(); }));
  counting.count();
  CHECK(counting.is_complete());
  relay.block(true);
  REQUIRE(comes_true([&] {
    const std::lock_guard lock(ways[0].mutex);
    return error_of([&] { ways[0].store->add("asked", 0); }).code == ErrorCode::peer_lost;
  }));
  counting.served.servers[0].reset();
  counting.count();
  REQUIRE(comes_true([&] { return counting.served.lines.with("cannot be decided yet") != 0; }));
  relay.block(false);
  CHECK(counting.is_complete());
  CHECK(counting.client->statistics().takeovers == 1);
}

TEST_CASE("Keys whose server and replica began anew together are lost, and whoever waits for them is told so at once") {
  Counting counting;
  REQUIRE(comes_true([&] { return counting.is_replicated(); }));
  counting.count();
  CHECK(counting.is_complete());
  auto options = counting.served.client_options(0);
  options.timeout = std::chrono::hours(1);
  counting.client = ps::Client::connect(options, soon());
  for (auto& server : counting.served.servers) server.reset();
  for (const std::uint32_t server : {0u, 1u}) counting.served.start(server);
  const Error error = error_of([&] {
    counting.count();
    counting.client->wait_acknowledged();
  });
  CHECK(error.code == ErrorCode::peer_lost);
  INFO(error.message);
  CHECK(has(error.message, "lost"));
}

TEST_CASE("Keys whose server and replica have ended for good are lost, and whoever waits for them is told so at once") {
  const std::uint32_t servers = GENERATE(2u, 3u, 4u);
  CAPTURE(servers);
  Counting counting(servers);
  REQUIRE(comes_true([&] { return counting.is_replicated(); }));
  counting.count();
  CHECK(counting.is_complete());
  auto options = counting.served.client_options(0);
  options.timeout = std::chrono::hours(1);
  counting.client = ps::Client::connect(options, soon());
  // Each server's keys have their replica on the next. Server 0 finds no other one for its own, however late it ends.
  for (std::uint32_t server = 2; server < servers; ++server) {
    std::lock_guard lock(counting.served.mutex);
    counting.served.cuts.insert({0, server});
  }
  for (const std::uint32_t server : {1u, 0u}) {
    counting.served.servers[server].reset();
    counting.served.withdraw(server);
  }
  const Error error = error_of([&] {
    counting.count();
    counting.client->wait_acknowledged();
  });
  CHECK(error.code == ErrorCode::peer_lost);
  CHECK(has(error.message, "the keys of parameter server 0 are lost"));
  CHECK(has(error.message, "parameter server 1"));
  CHECK(has(error.message, "has ended"));
}

TEST_CASE("A worker that wants nothing for longer than its timeout after a takeover is served all the same") {
  Counting counting;
  auto options = counting.served.client_options(0);
  options.timeout = std::chrono::seconds(3);
  counting.client = ps::Client::connect(options, soon());
  REQUIRE(comes_true([&] { return counting.is_replicated(); }));
  counting.served.servers[0].reset();
  REQUIRE(comes_true([&] { return counting.client->statistics().takeovers == 1; }));
  std::this_thread::sleep_for(options.timeout + std::chrono::milliseconds(500));
  counting.count();
  CHECK(counting.is_complete());
}

TEST_CASE("Two servers that do not reach each other: one goes on with what both held, and later both hold it again") {
  Counting counting(Counting::by_relays);
  REQUIRE(comes_true([&] { return counting.is_replicated(); }));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) {
      counting.count();
      if (i == 10) counting.block(true);
    }
    CHECK(counting.is_complete());
    CHECK(!counting.is_replicated());
    // Whoever asks the one that was left behind is sent to the other.
    RawWorker other(counting.served, 0, 0, 7);
    other.hear_of<ps::Welcome>();
    other.say(ps::TakeOver{.server = 1});
    const auto refused = other.hear_of<ps::Failed>().first;
    CHECK(refused.code == ErrorCode::closed);
    CHECK(refused.ask == 1u);
    counting.block(false);
    REQUIRE(comes_true([&] { return counting.is_replicated(); }));
  }
  counting.served.servers[0].reset();
  counting.count();
  CHECK(counting.is_complete());
}

TEST_CASE("Thousands of keys come to a server that is new, whole") {
  std::vector<ps::TensorInfo> tensors;
  for (int i = 0; i < 3'000; ++i) tensors.push_back(tensor("t" + std::to_string(i), 3));
  Served served(std::move(tensors), {.servers = 2, .replicas = true});
  served.start_all();
  auto client = served.client();
  const std::vector<float> zeros(3, 0.0f), ones(3, 1.0f);
  client->initialise(std::vector<ps::Client::InitialTensor>(3'000, {.values = std::span<const float>(zeros)}));
  std::vector<float> values(3);
  for (const auto& server : served.servers)
    REQUIRE(comes_true([&] { return server->statistics().replicated_groups == 1; }));
  for (std::uint64_t step = 1; step <= 3; ++step) {
    const std::uint32_t victim = static_cast<std::uint32_t>(step % 2);
    for (std::size_t t = 0; t < 3'000; ++t)
      client->push(t, {0, 3}, std::span<const float>(ones), {.step = step, .learning_rate = 1.0});
    client->wait_acknowledged();
    served.servers[victim].reset();
    for (std::size_t t = 0; t < 3'000; t += 17) {
      client->pull(t, step, std::span(values));
      client->wait_values(t);
      REQUIRE(values == std::vector<float>(3, -static_cast<float>(step)));
    }
    served.start(victim);
    REQUIRE(comes_true([&] { return served.servers[1 - victim]->statistics().replicated_groups == 2; }));
    REQUIRE(comes_true([&] { return served.servers[victim]->present() == 1; }));
  }
}
