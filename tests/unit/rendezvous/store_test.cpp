// SPDX-License-Identifier: Apache-2.0
#include "trireme/rendezvous/store.hpp"

#include "ear.hpp"
#include "support/failures.hpp"
#include "support/relay.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <set>
#include <thread>

using namespace trireme;
using namespace trireme::rendezvous;
using namespace trireme::rendezvous::testing;
using Catch::Matchers::Contains;

using trireme::testing::error_of;

namespace {

struct Backend {
  std::string name;
  std::function<std::function<std::unique_ptr<Store>(int rank)>(int world_size)> open;
};

std::vector<Backend> backends() {
  return {{"in process", [](int) { return [store = InProcessStore()](int) { return store.handle(); }; }},
          {"tcp", [](int world_size) {
             std::shared_ptr<Server> server = Server::start(options_for(world_size));
             return [server](int rank) { return connect_store(rank_of(server->address(), rank), soon()); };
           }}};
}

}  // namespace

TEST_CASE("A store keeps what is set, and everybody sees it") {
  Backend backend = backends()[GENERATE(0u, 1u)];
  INFO(backend.name);
  auto open = backend.open(2);
  auto first = open(0), second = open(1);

  SECTION("values come back as they were, bytes of any kind") {
    std::string bytes("\0\xff line\n", 8);
    first->set("key", bytes);
    first->set("empty", "");
    REQUIRE(first->get("key", soon()) == bytes);
    REQUIRE(second->get("key", soon()) == bytes);
    REQUIRE(second->get("empty", soon()).empty());
  }
  SECTION("a key is set once: the same value again is harmless, another is refused and changes nothing") {
    first->set("key", "one");
    second->set("key", "one");
    Error error = error_of([&] { second->set("key", "two"); });
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE_THAT(error.message, Contains("'key' has another value"));
    REQUIRE(first->get("key", soon()) == "one");
  }
  SECTION("whoever waits for a key is woken when it is set") {
    std::string got;
    std::thread waiter([&] { got = second->get("late", soon()); });
    first->set("other", "x");
    first->set("late", "value");
    waiter.join();
    REQUIRE(got == "value");
  }
  SECTION("the deadline ends the wait, names the key, and the store goes on") {
    Error error = error_of([&] { first->get("never", Deadline::after(std::chrono::milliseconds(20))); });
    REQUIRE(error.code == ErrorCode::timeout);
    REQUIRE_THAT(error.message, Contains("'never'"));
    second->set("never", "after all");
    second->set("more", "x");
    REQUIRE(first->get("more", soon()) == "x");
    REQUIRE(first->get("never", soon()) == "after all");
  }
  SECTION("counters add up over all ranks") {
    REQUIRE(first->add("n", 0) == 0);
    REQUIRE(first->add("n", 5) == 5);
    REQUIRE(second->add("n", -7) == -2);
    REQUIRE(first->add("n", std::numeric_limits<std::int64_t>::min() + 2) == std::numeric_limits<std::int64_t>::min());
    REQUIRE(error_of([&] { second->add("n", -1); }).code == ErrorCode::invalid_argument);
    REQUIRE(second->add("n", 1) == std::numeric_limits<std::int64_t>::min() + 1);
  }
  SECTION("counters and values are not mixed up") {
    first->add("counter", 1);
    first->set("value", "x");
    REQUIRE(error_of([&] { second->set("counter", "x"); }).code == ErrorCode::invalid_argument);
    REQUIRE(error_of([&] { second->add("value", 1); }).code == ErrorCode::invalid_argument);
    REQUIRE(error_of([&] { second->get("counter", soon()); }).code == ErrorCode::invalid_argument);
  }
  SECTION("keys up to 1 KiB and values up to 1 MiB, no more") {
    std::string longest_key(1024, 'k'), longest_value(1u << 20, 'v');
    first->set(longest_key, longest_value);
    REQUIRE(second->get(longest_key, soon()) == longest_value);
    REQUIRE(error_of([&] { first->set(longest_key + "k", "x"); }).code == ErrorCode::invalid_argument);
    REQUIRE(error_of([&] { first->get(longest_key + "k", soon()); }).code == ErrorCode::invalid_argument);
    REQUIRE(error_of([&] { first->add(longest_key + "k", 1); }).code == ErrorCode::invalid_argument);
    REQUIRE(error_of([&] { first->set("", "x"); }).code == ErrorCode::invalid_argument);
    Error error = error_of([&] { first->set("big", longest_value + "v"); });
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE_THAT(error.message, Contains("'big' has 1048577 bytes"));
    first->set("big", "small");
    REQUIRE(second->get("big", soon()) == "small");
  }
}

TEST_CASE("Many ranks that add and wait at the same time all get their own answer") {
  Backend backend = backends()[GENERATE(0u, 1u)];
  INFO(backend.name);
  constexpr int ranks = 6;
  auto open = backend.open(ranks);
  std::vector<std::vector<std::int64_t>> numbers(ranks);
  std::vector<int> right(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      auto store = open(rank);
      for (int i = 0; i < 20; ++i) {
        auto index = static_cast<std::size_t>(rank);
        numbers[index].push_back(store->add("n", 1));
        store->set(std::to_string(rank) + "/" + std::to_string(i), std::to_string(rank * i));
        int next = (rank + 1) % ranks;
        if (store->get(std::to_string(next) + "/" + std::to_string(i), soon()) == std::to_string(next * i))
          ++right[index];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::int64_t> distinct;
  for (const auto& own : numbers) distinct.insert(own.begin(), own.end());
  REQUIRE(distinct.size() == ranks * 20);
  REQUIRE(*distinct.rbegin() == ranks * 20);
  REQUIRE(right == std::vector<int>(ranks, 20));
}

TEST_CASE("A store whose server has gone says so, with the address") {
  auto server = Server::start(options_for(1));
  std::string address = server->address().to_string();
  auto store = connect_store(rank_of(server->address(), 0), soon());
  Error waiting_error;
  SECTION("to whoever waits") {
    std::thread waiter([&] { waiting_error = error_of([&] { store->get("key", soon()); }); });
    server.reset();
    waiter.join();
    REQUIRE(waiting_error.code == ErrorCode::peer_lost);
    REQUIRE_THAT(waiting_error.message, Contains(address));
  }
  SECTION("to whoever asks next, again and again") {
    server.reset();
    for (int i = 0; i < 3; ++i) {
      Error error = error_of([&] { store->set("key", "x"); });
      REQUIRE(error.code == ErrorCode::peer_lost);
      REQUIRE_THAT(error.message, Contains("the launcher at " + address + " is gone"));
    }
  }
}

TEST_CASE(
    "A lasting store is dialled again when its connection broke: what is asked once the server is reached is answered") {
  auto server = Server::start(options_for(1));
  trireme::testing::Relay relay(server->address(), std::nullopt, trireme::testing::Relay::Side::to_server);
  auto store = connect_lasting_store(rank_of(relay.address(), 0), soon());
  REQUIRE(store->add("n", 1) == 1);
  std::string got;
  const auto asks_until = [&](auto&& ask) {
    const Deadline limit = soon();
    while (!ask() && !limit.passed()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return !limit.passed();
  };
  SECTION("after calls that did not reach it, which say where it was") {
    relay.block(true);
    Error error;
    REQUIRE(asks_until([&] { return (error = error_of([&] { store->add("n", 0); })).code != ErrorCode::none; }));
    REQUIRE(error.code == ErrorCode::peer_lost);
    REQUIRE_THAT(error.message, Contains(relay.address().to_string()));
    relay.block(false);
    REQUIRE(asks_until([&] { return error_of([&] { store->set("key", "x"); }).code == ErrorCode::none; }));
    REQUIRE(store->get("key", soon()) == "x");
    REQUIRE(store->add("n", 1) == 2);
  }
  SECTION("whoever waits for a key goes on waiting") {
    const int before = relay.connections();
    const auto bytes_before = relay.bytes(trireme::testing::Relay::Side::to_server);
    std::thread waiter([&] {
      if (error_of([&] { got = store->get("late", soon()); }).code != ErrorCode::none) got = "failed";
    });
    CHECK(asks_until([&] { return relay.bytes(trireme::testing::Relay::Side::to_server) > bytes_before; }));
    relay.block(true);
    CHECK(asks_until([&] { return relay.open_connections() == 0; }));
    relay.block(false);
    CHECK(asks_until([&] { return relay.connections() > before; }));
    connect_store(rank_of(server->address(), 0), soon())->set("late", "value");
    waiter.join();
    REQUIRE(got == "value");
  }
}
