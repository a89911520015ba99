// SPDX-License-Identifier: Apache-2.0
#include "world/links.hpp"

#include "support/failures.hpp"
#include "support/reserved_port.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/rendezvous/store.hpp"
#include "trireme/transport/arena.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/shm.hpp"
#include "trireme/transport/tcp.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

Transports transports_of(int rank, int world, const std::string& name, int flows = 0) {
  const transport::Membership self{.job_id = "links",
                                   .rank = rank,
                                   .world_size = world,
                                   .key = key,
                                   .arena = std::make_shared<transport::Arena>(Bytes{1u << 20}),
                                   .doorbell = std::make_shared<transport::Doorbell>()};
  Transports transports;
  transports.push_back(name == "tcp" ? transport::make_tcp_transport(self, {.flows = flows})
                                     : transport::make_shm_transport(self));
  return transports;
}

PeerCard card_of(const std::string& name, const std::string& card, const std::string& host = "host-b") {
  return {.host = host, .host_identity = net::host_identity(), .settings = "", .transports = {{name, card}}};
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

namespace {

/// An address where nobody listens: what a firewall that rejects looks like to whoever connects.
using ClosedPort = testing::ReservedPort;

/// Both ranks connect, each with its own view of the other's card.
struct Meeting {
  Meeting(Transports (&transports)[2], const std::vector<PeerCard>& seen_by_zero,
          const std::vector<PeerCard>& seen_by_one, Deadline deadline) {
    const rendezvous::InProcessStore store;
    const auto run = [&](int rank, const std::vector<PeerCard>& cards) {
      const Log log(LogLevel::info, [&, rank](LogLevel, std::string_view line) { lines[rank].emplace_back(line); });
      const auto handle = store.handle();
      Control control;
      errors[rank] = error_of([&] {
        links[rank] = connect_all(transports[rank], cards, rank, *control.relay, deadline, log, handle.get());
      });
    };
    std::thread other([&] { run(1, seen_by_one); });
    run(0, seen_by_zero);
    other.join();
  }
  Links links[2];
  Error errors[2];
  std::vector<std::string> lines[2];
};

}  // namespace

TEST_CASE("Where connections pass in one direction only, the rank that can connects, and both ends work") {
  const int flows = GENERATE(1, 3);
  const ClosedPort closed;
  const std::string refused = closed.address.to_string();
  Transports transports[2] = {transports_of(0, 2, "tcp", flows), transports_of(1, 2, "tcp", flows)};
  const std::vector<PeerCard> real{card_of("tcp", transports[0][0]->card(), "host-a"),
                                   card_of("tcp", transports[1][0]->card(), "host-b")};
  auto seen_by_one = real;
  seen_by_one[0] = card_of("tcp", net::host_identity() + "/" + refused, "host-a");
  const Meeting meeting(transports, real, seen_by_one, Deadline::after(std::chrono::seconds(12)));
  REQUIRE(meeting.errors[0].message.empty());
  REQUIRE(meeting.errors[1].message.empty());
  REQUIRE(meeting.lines[0].size() == 1);
  REQUIRE_THAT(meeting.lines[0][0], Contains("rank 1 on host-b cannot connect to rank 0 on host-a (") &&
                                        Contains(refused) && Contains("refused") &&
                                        Contains("trying the other direction"));
  REQUIRE(meeting.lines[1] == std::vector<std::string>{
                                  "rank 0 on host-a has connected to rank 1 on host-b, which could not connect to it"});
  auto& left = *meeting.links[0].links[1];
  auto& right = *meeting.links[1].links[0];
  REQUIRE(left.route() == right.route());
  for (auto [from, to] : {std::pair{&left, &right}, std::pair{&right, &left}}) {
    const std::byte sent{42};
    const std::span<const std::byte> part(&sent, 1);
    REQUIRE(from->write({&part, 1}) == 1);
    std::byte got{};
    for (int tries = 0; tries < 100000 && to->read({&got, 1}) == 0; ++tries) std::this_thread::yield();
    REQUIRE(got == sent);
  }
}

namespace {

/// TCP whose thread for the first connection that came ends late, long after the handshake.
class LateThread final : public transport::SocketTransport {
 public:
  explicit LateThread(std::unique_ptr<transport::Transport> tcp)
      : owned_(std::move(tcp)), tcp_(*owned_->by_sockets()) {}
  std::string_view name() const override { return tcp_.name(); }
  std::string card() const override { return tcp_.card(); }
  bool reaches(std::string_view peer_card) const override { return tcp_.reaches(peer_card); }
  int listening_descriptor() const override { return tcp_.listening_descriptor(); }
  net::Socket reach(int peer, std::string_view peer_card, Deadline deadline) override {
    return tcp_.reach(peer, peer_card, deadline);
  }
  std::unique_ptr<transport::Link> introduce(int peer, net::Socket socket, Deadline deadline) const override {
    return tcp_.introduce(peer, std::move(socket), deadline);
  }
  std::optional<net::Socket> take(Deadline deadline) override { return tcp_.take(deadline); }
  std::unique_ptr<transport::Admission> admit(net::Socket socket, Deadline deadline,
                                              std::string& refusal) const override {
    const bool is_first = !is_begun_.exchange(true);
    auto admitted = tcp_.admit(std::move(socket), deadline, refusal);
    if (is_first) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return admitted;
  }

 private:
  std::unique_ptr<transport::Transport> owned_;
  transport::SocketTransport& tcp_;
  mutable std::atomic<bool> is_begun_{false};
};

}  // namespace

TEST_CASE("All connections of a link outlive the meeting, however late the threads end that took them in") {
  Transports transports[2] = {transports_of(0, 2, "tcp", 3), transports_of(1, 2, "tcp", 3)};
  transports[0][0] = std::make_unique<LateThread>(std::move(transports[0][0]));
  const std::vector<PeerCard> cards{card_of("tcp", transports[0][0]->card(), "host-a"),
                                    card_of("tcp", transports[1][0]->card(), "host-b")};
  const Meeting meeting(transports, cards, cards, soon());
  REQUIRE(meeting.errors[0].message.empty());
  REQUIRE(meeting.errors[1].message.empty());
  auto& near = *meeting.links[0].links[1];
  auto& far = *meeting.links[1].links[0];
  auto near_lanes = near.take_lanes(), far_lanes = far.take_lanes();
  REQUIRE(near_lanes.size() == 2);
  REQUIRE(far_lanes.size() == 2);
  std::vector<std::pair<transport::Link*, transport::Link*>> lanes{{&near, &far}};
  for (std::size_t i = 0; i < near_lanes.size(); ++i) lanes.emplace_back(near_lanes[i].get(), far_lanes[i].get());
  for (const auto& [from, to] : lanes) {
    const std::byte sent{42};
    const std::span<const std::byte> part(&sent, 1);
    REQUIRE(from->write({&part, 1}) == 1);
    std::byte got{};
    for (int tries = 0; tries < 100000 && to->read({&got, 1}) == 0; ++tries) std::this_thread::yield();
    REQUIRE(got == sent);
  }
}

TEST_CASE("Where connections pass in no direction, both ranks, their hosts and all addresses are named") {
  const ClosedPort closed_zero, closed_one;
  const std::string to_zero = closed_zero.address.to_string(), to_one = closed_one.address.to_string();
  Transports transports[2] = {transports_of(0, 2, "tcp"), transports_of(1, 2, "tcp")};
  const std::vector<PeerCard> seen_by_zero{card_of("tcp", transports[0][0]->card(), "host-a"),
                                           card_of("tcp", net::host_identity() + "/" + to_one, "host-b")};
  const std::vector<PeerCard> seen_by_one{card_of("tcp", net::host_identity() + "/" + to_zero, "host-a"),
                                          card_of("tcp", transports[1][0]->card(), "host-b")};
  const Meeting meeting(transports, seen_by_zero, seen_by_one, Deadline::after(std::chrono::milliseconds(3000)));
  for (const Error& error : meeting.errors) {
    CAPTURE(error.message);
    REQUIRE(error.code == ErrorCode::timeout);
    REQUIRE_THAT(error.message, Contains("rank 0 on host-a") && Contains("rank 1 on host-b") && Contains(to_zero));
  }
  REQUIRE_THAT(meeting.errors[0].message,
               Contains("; from rank 1 on host-b: ") && Contains("; from rank 0 on host-a: ") && Contains(to_one));
}

TEST_CASE("A lower rank that connects without having been asked is refused") {
  const auto mine = transports_of(1, 3, "tcp");
  const auto zero = transports_of(0, 3, "tcp");
  const auto two = transports_of(2, 3, "tcp");
  const std::vector<PeerCard> cards{card_of("tcp", zero[0]->card()), card_of("tcp", mine[0]->card()),
                                    card_of("tcp", two[0]->card())};
  std::vector<std::string> lines;
  const Log log(LogLevel::warning, [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  Control control;
  Links links;
  std::thread other([&] {
    std::string refusal;
    const auto good = zero[0]->accept(soon(), refusal);
    try {
      const auto unasked = zero[0]->connect(1, mine[0]->card(), soon());
      // The handshakes are made side by side: the last one comes when this one has been refused, not before.
      const Deadline until = soon();
      while (unasked->state() == transport::LinkState::open && !until.passed()) {
        std::byte nothing{};
        unasked->read({&nothing, 1});
        std::this_thread::yield();
      }
    } catch (const Exception&) {  // refused before it had looked at its own end: as good
    }
    const auto last = two[0]->connect(1, mine[0]->card(), soon());
  });
  const Error error = error_of([&] { links = connect_all(mine, cards, 1, *control.relay, soon(), log); });
  other.join();
  REQUIRE(error.message.empty());
  REQUIRE(lines.size() == 1);
  REQUIRE(lines[0] == "rank 1: refused a connection of rank 0, which was not asked to connect");
}

TEST_CASE("The ways to the peers are one line, whatever their number") {
  struct Way final : transport::Link {
    explicit Way(std::string text) : text_(std::move(text)) {}
    std::size_t write(std::span<const std::span<const std::byte>>) noexcept override { return 0; }
    std::size_t read(std::span<std::byte>) noexcept override { return 0; }
    bool lend(const void*, std::size_t, std::uint64_t&) const noexcept override { return false; }
    std::byte* borrow(std::uint64_t, std::size_t) noexcept override { return nullptr; }
    void nudge() noexcept override {}
    int descriptor() const noexcept override { return -1; }
    bool arm(bool) noexcept override { return true; }
    void disarm() noexcept override {}
    void check() noexcept override {}
    transport::LinkState state() const noexcept override { return transport::LinkState::open; }
    int errno_value() const noexcept override { return 0; }
    std::string route() const override { return text_; }
    void close() noexcept override {}
    std::string text_;
  };
  Links links;
  links.transports = {"shm", "self", "shm", "shm", "tcp", "tcp", "shm", "tcp", "tcp"};
  for (std::size_t peer = 0; peer < links.transports.size(); ++peer) {
    const bool over_tcp = links.transports[peer] == "tcp";
    links.links.push_back(peer == 1 ? nullptr : std::make_unique<Way>(over_tcp ? "10.0.0.1 (eth0), 4 flows" : ""));
  }
  REQUIRE(describe_ways(links, 1) == "ranks 0, 2, 3, 6 over shm; ranks 4, 5, 7, 8 over tcp, 10.0.0.1 (eth0), 4 flows");
  links.links.resize(3);
  REQUIRE(describe_ways(links, 1) == "ranks 0, 2 over shm");
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
