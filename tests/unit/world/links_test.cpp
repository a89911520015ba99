// SPDX-License-Identifier: Apache-2.0
#include "world/links.hpp"

#include "support/failures.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/transport/arena.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/shm.hpp"
#include "trireme/transport/tcp.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace trireme;
using Catch::Matchers::Contains;

using testing::error_of;

namespace {

Deadline soon() { return Deadline::after(std::chrono::seconds(30)); }

/// A control channel on which the test speaks.
struct Control {
  class Channel final : public rendezvous::ControlChannel {
   public:
    explicit Channel(Control& control) : control_(control) {}
    void report(const rendezvous::Cause& cause) noexcept override { control_.reports.push_back(cause); }
    void leave() noexcept override { control_.has_left = true; }
    void abandon() noexcept override { control_.is_abandoned = true; }

   private:
    Control& control_;
  };

  std::vector<rendezvous::Cause> reports;
  bool has_left = false;
  bool is_abandoned = false;
  std::shared_ptr<ControlRelay> relay =
      ControlRelay::open(0, 0, [this](rendezvous::ControlListener&) { return std::make_unique<Channel>(*this); });

  static rendezvous::Cause death() {
    return {.code = ErrorCode::peer_lost, .member = 1, .message = "rank 1 died: killed by signal 9"};
  }
};

const net::JobKey key = net::JobKey::from_text("a key for the tests of the links");

using Transports = std::vector<std::unique_ptr<transport::Transport>>;

Transports transports_of(int rank, int world, const std::string& name) {
  const transport::Membership self{.job_id = "links",
                                   .rank = rank,
                                   .world_size = world,
                                   .key = key,
                                   .arena = std::make_shared<transport::Arena>(Bytes{1u << 20}),
                                   .doorbell = std::make_shared<transport::Doorbell>()};
  Transports transports;
  transports.push_back(name == "tcp" ? transport::make_tcp_transport(self, {}) : transport::make_shm_transport(self));
  return transports;
}

PeerCard card_of(const std::string& name, const std::string& card) {
  return {.host = "host-b", .host_identity = net::host_identity(), .settings = "", .transports = {{name, card}}};
}

/// Where the one transport of `transports` listens, of tcp.
net::Address address_of(const Transports& transports) {
  const std::string card = transports[0]->card();
  const auto port = net::Address::parse(card.substr(card.rfind(',') + 1)).port;
  return {"127.0.0.1", port};
}

}  // namespace

TEST_CASE("A verdict ends the wait for a rank that does not connect") {
  const auto name = GENERATE(as<std::string>{}, "shm", "tcp");
  const auto mine = transports_of(0, 2, name);
  const auto theirs = transports_of(1, 2, name);
  const std::vector<PeerCard> cards{card_of(name, mine[0]->card()), card_of(name, theirs[0]->card())};
  Control control;
  const bool is_early = GENERATE(true, false);
  if (is_early) control.relay->verdict(Control::death());
  std::thread judge([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (!is_early) control.relay->verdict(Control::death());
  });
  const Error error = error_of([&] { connect_all(mine, cards, 0, *control.relay, soon(), {}); });
  judge.join();
  REQUIRE(error.code == ErrorCode::peer_lost);
  REQUIRE(error.message == "rank 1 died: killed by signal 9");
  REQUIRE(error.peer_rank == 1);
}

TEST_CASE("A verdict ends the attempt to reach a rank that is gone, and a handshake that it does not answer") {
  const auto name = GENERATE(as<std::string>{}, "shm", "tcp");
  const bool listens = GENERATE(true, false);
  CAPTURE(name, listens);
  auto theirs = transports_of(0, 2, name);
  const auto mine = transports_of(1, 2, name);
  const std::vector<PeerCard> cards{card_of(name, theirs[0]->card()), card_of(name, mine[0]->card())};
  if (!listens) theirs.clear();
  Control control;
  std::thread judge([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    control.relay->verdict(Control::death());
  });
  const Error error = error_of([&] { connect_all(mine, cards, 1, *control.relay, soon(), {}); });
  judge.join();
  REQUIRE(error.code == ErrorCode::peer_lost);
  REQUIRE(error.message == "rank 1 died: killed by signal 9");
}

TEST_CASE("A rank that cannot be reached is named with its host") {
  const auto mine = transports_of(1, 2, "shm");
  const std::vector<PeerCard> cards{card_of("shm", net::host_identity() + "/trireme-nobody"),
                                    card_of("shm", mine[0]->card())};
  Control control;
  const Error error = error_of(
      [&] { connect_all(mine, cards, 1, *control.relay, Deadline::after(std::chrono::milliseconds(50)), {}); });
  REQUIRE(error.code == ErrorCode::timeout);
  REQUIRE_THAT(error.message, Contains("cannot connect to rank 0 on host-b: "));
}

TEST_CASE("Strangers that connect and say nothing keep no rank out, and cost a few lines") {
  const auto mine = transports_of(0, 2, "tcp");
  const auto theirs = transports_of(1, 2, "tcp");
  const std::vector<PeerCard> cards{card_of("tcp", mine[0]->card()), card_of("tcp", theirs[0]->card())};
  std::vector<net::Socket> strangers;
  for (int i = 0; i < 100; ++i) strangers.push_back(net::connect_tcp(address_of(mine), soon()));
  int lines = 0;
  const Log log(LogLevel::warning, [&](LogLevel, std::string_view) { ++lines; });
  Control control, other;
  Links links;
  Error error;
  std::thread peer([&] { error = error_of([&] { links = connect_all(theirs, cards, 1, *other.relay, soon(), {}); }); });
  const Links accepted = connect_all(mine, cards, 0, *control.relay, soon(), log);
  peer.join();
  REQUIRE(error.message.empty());
  REQUIRE(accepted.links[1] != nullptr);
  REQUIRE(links.links[0] != nullptr);
  REQUIRE(lines <= 12);
}

TEST_CASE("A rank that cannot open its world says why; one that was told says nothing") {
  Control control;
  SECTION("by itself") {
    control.relay->give_up({.code = ErrorCode::system, .message = "no more descriptors"});
    REQUIRE(control.reports.size() == 1);
    REQUIRE(control.reports[0].member == 0);
    REQUIRE(control.reports[0].message == "rank 0 cannot open its world: no more descriptors");
    REQUIRE(control.is_abandoned);
  }
  SECTION("told") {
    control.relay->verdict(Control::death());
    control.relay->give_up({.code = ErrorCode::peer_lost, .message = "rank 1 died"});
    REQUIRE(control.reports.empty());
    REQUIRE(control.has_left);
    REQUIRE_FALSE(control.is_abandoned);
  }
}

TEST_CASE("What the control channel said before the context was there is not lost, and hosts are filled in") {
  class Heir final : public rendezvous::ControlListener {
   public:
    rendezvous::Status status() noexcept override { return {.rank = 7}; }
    void verdict(const rendezvous::Cause& cause) noexcept override { heard.push_back(cause); }
    std::vector<rendezvous::Cause> heard;
  };
  Control control;
  Heir heir;
  REQUIRE_FALSE(control.relay->status().in_operation);
  control.relay->learn({"host-a", "host-b"});
  rendezvous::Cause cause = Control::death();
  cause.message = "rank 1, which served the rendezvous, is gone";
  control.relay->verdict(cause);
  const auto channel = control.relay->hand_over(heir);
  REQUIRE(heir.heard.size() == 1);
  REQUIRE(heir.heard[0].member_host == "host-b");
  REQUIRE(heir.heard[0].message == "rank 1 (host-b), which served the rendezvous, is gone");
  REQUIRE(control.relay->status().rank == 7);
}
