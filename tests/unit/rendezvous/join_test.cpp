// SPDX-License-Identifier: Apache-2.0
#include "ear.hpp"
#include "rendezvous/join_reminding.hpp"
#include "support/failures.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <thread>

using namespace trireme;
using namespace trireme::rendezvous;
using namespace trireme::rendezvous::testing;
using Catch::Matchers::Contains;
using std::chrono::milliseconds;

using trireme::testing::error_of;

namespace {

/// A few handles on one store.
struct Stores {
  std::function<std::unique_ptr<Store>(int rank)> open;
  std::shared_ptr<Server> server;
};

Stores stores(const std::string& kind, int world_size) {
  if (kind == "in process") return {[store = InProcessStore()](int) { return store.handle(); }, nullptr};
  std::shared_ptr<Server> server = Server::start(options_for(world_size));
  return {[server](int rank) { return connect_store(rank_of(server->address(), rank), soon()); }, server};
}

}  // namespace

TEST_CASE("Everybody who joins gets everybody's card, in rank order") {
  constexpr int ranks = 4;
  Stores world = stores(GENERATE("in process", "tcp"), ranks);
  for (std::uint64_t epoch : {0u, 1u}) {
    std::vector<std::vector<std::string>> got(ranks);
    std::vector<std::thread> threads;
    for (int rank = ranks - 1; rank >= 0; --rank) {
      threads.emplace_back([&, rank] {
        auto store = world.open(rank);
        std::string card = "card " + std::to_string(rank) + " of epoch " + std::to_string(epoch);
        got[static_cast<std::size_t>(rank)] = join(*store, epoch, rank, ranks, card, soon());
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<std::string> expected;
    for (int rank = 0; rank < ranks; ++rank) {
      expected.push_back("card " + std::to_string(rank) + " of epoch " + std::to_string(epoch));
    }
    for (const auto& cards : got) REQUIRE(cards == expected);
  }
}

TEST_CASE("Ranks that do not join are listed by number") {
  Stores world = stores(GENERATE("in process", "tcp"), 4);
  auto zero = world.open(0), two = world.open(2);
  Error error;
  SECTION("several") {
    // Rank 2 has joined, whatever became of it since.
    REQUIRE(error_of([&] { join(*two, 0, 2, 4, "card", Deadline::after(milliseconds(20))); }).code ==
            ErrorCode::timeout);
    error = error_of([&] { join(*zero, 0, 0, 4, "card", Deadline::after(milliseconds(20))); });
    REQUIRE_THAT(error.message, Contains("ranks 1, 3 of 4 have not joined within "));
  }
  SECTION("one") {
    error = error_of([&] { join(*zero, 0, 0, 2, "card", Deadline::after(milliseconds(20))); });
    REQUIRE_THAT(error.message, Contains("rank 1 of 2 has not joined within "));
  }
  SECTION("too many to list") {
    error = error_of([&] { join(*zero, 0, 0, 40, "card", Deadline::after(milliseconds(20))); });
    REQUIRE_THAT(error.message, Contains("ranks 1, 2, 3,") && Contains(" and 23 more of 40 have not joined"));
  }
  REQUIRE(error.code == ErrorCode::timeout);
}

TEST_CASE("While it waits, join says who is missing") {
  Stores world = stores(GENERATE("in process", "tcp"), 3);
  auto zero = world.open(0), one = world.open(1), two = world.open(2);
  Lines lines;
  std::vector<std::string> cards;
  std::thread first([&] { cards = join_reminding(*zero, 0, 0, 3, "a", soon(), lines.log(), milliseconds(10)); });
  REQUIRE_THAT(lines.find("waiting for ranks 1, 2 of 3 to join"), Contains("so far"));
  std::thread third([&] { join(*two, 0, 2, 3, "c", soon()); });
  REQUIRE_THAT(lines.find("waiting for rank 1 of 3 to join"), Contains("so far"));
  join(*one, 0, 1, 3, "b", soon());
  first.join();
  third.join();
  REQUIRE(cards == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("Two processes that join as the same rank: the second is refused, naming the rank") {
  Stores world = stores(GENERATE("in process", "tcp"), 2);
  auto first = world.open(0), second = world.open(0), other = world.open(1);
  std::thread peer([&] { join(*other, 0, 1, 2, "other", soon()); });
  join(*first, 0, 0, 2, "card", soon());
  peer.join();
  for (std::string card : {"card", "another card"}) {
    Error error = error_of([&] { join(*second, 0, 0, 2, card, soon()); });
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE_THAT(error.message, Contains("rank 0 has joined already: two processes were started as rank 0"));
  }
}

TEST_CASE("A rank outside the world does not join") {
  auto store = InProcessStore().handle();
  for (int rank : {-1, 2}) {
    Error error = error_of([&] { join(*store, 0, rank, 2, "card", soon()); });
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE_THAT(error.message, Contains("rank " + std::to_string(rank) + " is outside the world of 2"));
  }
}

TEST_CASE("Joining ends at once when a rank dies before it joined") {
  Stores world = stores("tcp", 2);
  auto zero = world.open(0);
  Error error;
  std::thread joiner([&] { error = error_of([&] { join(*zero, 0, 0, 2, "card", soon()); }); });
  world.server->process_ended(1, "exited with code 127");
  joiner.join();
  REQUIRE(error.code == ErrorCode::peer_lost);
  REQUIRE_THAT(error.message, Contains("rank 1 ended before it joined"));
}
