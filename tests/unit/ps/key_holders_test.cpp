// SPDX-License-Identifier: Apache-2.0
// Whom a worker asks for keys that their server does not serve, and when it knows that nobody has them.
#include "ps/key_holders.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <map>
#include <set>

using namespace trireme;
using ps::KeyHolders;
using namespace std::chrono_literals;

namespace {

/// Servers of one loop, as a test says how they are.
class Servers final : public KeyHolders::Ways {
 public:
  explicit Servers(std::uint32_t count)
      : holders({.servers = count, .loops = 1, .replicas = true, .takeover = 1s, .timeout = 1h}, *this) {
    for (std::uint32_t server = 0; server < count; ++server) welcome.insert(server);
  }
  bool is_welcome(std::uint32_t server, std::uint32_t) const override { return welcome.contains(server); }
  std::optional<KeyHolders::Clock::time_point> lost_since(std::uint32_t server, std::uint32_t) const override {
    const auto found = lost_at.find(server);
    return found == lost_at.end() ? std::nullopt : std::optional(found->second);
  }
  bool is_gone(std::uint32_t server) const override { return gone.contains(server); }
  bool is_wanted(std::uint32_t, std::uint32_t) const override { return wanted; }

  void lose(std::uint32_t server) {
    welcome.erase(server);
    lost_at[server] = now;
  }
  void end(std::uint32_t server) {
    lose(server);
    gone.insert(server);
    holders.forget_answers();
  }
  void begin_anew(std::uint32_t server) {
    lost_at.erase(server);
    gone.erase(server);
    welcome.insert(server);
    holders.forget_answers();
  }
  /// Who is asked for the keys of server 0 now; nobody: none is.
  std::optional<std::uint32_t> ask() {
    const auto look = holders.look(0, 0, now);
    if (look.ask) holders.move(0, 0, *look.ask, now);
    return look.ask;
  }
  bool are_lost() { return holders.look(0, 0, now).are_lost; }
  void refuse(std::uint32_t by, std::uint64_t view = 0, std::optional<std::uint32_t> named = {},
              std::uint64_t sequence = 0) {
    holders.refused(0, 0, by,
                    {.sequence = sequence, .code = ErrorCode::closed, .server = 0, .view = view, .ask = named}, now);
  }

  KeyHolders::Clock::time_point now = KeyHolders::Clock::time_point{} + 1h;
  std::set<std::uint32_t> welcome, gone;
  std::map<std::uint32_t, KeyHolders::Clock::time_point> lost_at;
  bool wanted = true;
  KeyHolders holders;
};

using Server = std::optional<std::uint32_t>;

}  // namespace

TEST_CASE(
    "The keys of a server that is lost are asked of the next one in the ring, once it has been dialled for a while") {
  Servers servers(3);
  CHECK(servers.ask() == std::nullopt);
  servers.lose(0);
  CHECK(servers.ask() == std::nullopt);
  servers.now += 1s;
  CHECK(servers.ask() == Server(1));
  CHECK(servers.holders.of(0, 0) == 1);
  CHECK(servers.ask() == std::nullopt);  // until it answers
  CHECK(servers.holders.served(0, 0, servers.now) == 1s);
}

TEST_CASE("A server that has ended for good is dialled no longer before another is asked") {
  Servers servers(3);
  servers.end(0);
  CHECK(servers.ask() == Server(1));
}

TEST_CASE("Who does not serve keys names who does, and that one is asked, wherever it is in the ring") {
  Servers servers(4);
  servers.refuse(0, 3, 2);
  CHECK(servers.ask() == Server(2));
}

TEST_CASE("Who names a server that does not exist has named nobody") {
  Servers servers(3);
  servers.refuse(0, 3, 4'000'000'000);
  CHECK(servers.ask() == Server(1));
}

TEST_CASE("Keys are lost once all servers that are left have said that they have nothing of them, and no sooner") {
  Servers servers(3);
  servers.end(0);
  CHECK(servers.ask() == Server(1));
  servers.refuse(1, 4, 0);
  CHECK_FALSE(servers.are_lost());
  CHECK(servers.ask() == Server(2));
  CHECK_FALSE(servers.are_lost());
  servers.wanted = false;
  servers.refuse(2);
  CHECK_FALSE(servers.are_lost());  // nobody wants them
  servers.wanted = true;
  CHECK(servers.are_lost());
}

TEST_CASE("A server that is not reached may have keys: while it is not known to have ended, they are not lost") {
  Servers servers(2);
  servers.lose(0);
  servers.now += 1s;
  CHECK(servers.ask() == Server(1));
  servers.refuse(1, 4, 0);
  CHECK_FALSE(servers.are_lost());
  servers.end(0);
  CHECK_FALSE(servers.are_lost());  // the other one has not been asked since
  CHECK(servers.ask() == Server(1));
  CHECK_FALSE(servers.are_lost());
  servers.refuse(1, 5, 0);
  CHECK(servers.are_lost());
  CHECK(servers.ask() == std::nullopt);
}

TEST_CASE("Of servers that have begun anew none has keys that their former processes had: all are asked first") {
  Servers servers(2);
  for (const std::uint32_t server : {0u, 1u}) servers.end(server);
  for (const std::uint32_t server : {0u, 1u}) servers.begin_anew(server);
  servers.refuse(0, 4, 1, 5);
  CHECK(servers.ask() == Server(1));
  servers.refuse(1, 0);
  CHECK_FALSE(servers.are_lost());
  CHECK(servers.ask() == Server(0));
  servers.refuse(0, 5, 1);
  CHECK(servers.are_lost());
}

TEST_CASE("That a server takes no push is no answer to whether it has keys") {
  Servers servers(2);
  servers.end(1);
  servers.refuse(0, 2, std::nullopt, 77);
  CHECK_FALSE(servers.are_lost());
}
