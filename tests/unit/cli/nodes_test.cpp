// SPDX-License-Identifier: Apache-2.0
// What launchers of several hosts tell each other, whatever bytes come instead.
#include "cli/run/nodes.hpp"

#include "cli/run/ports.hpp"
#include "support/failures.hpp"
#include "support/reserved_port.hpp"
#include "trireme/rendezvous/server.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <random>
#include <thread>

using namespace trireme;
using namespace trireme::cli;
using trireme::testing::error_of;
using trireme::testing::has;

namespace {

Nodes::Options launcher_options(const trireme::testing::ReservedPort& port, int node, int nnodes) {
  return {.node = node,
          .nnodes = nnodes,
          .rendezvous = port.address,
          .key = net::JobKey::derived("a job"),
          .job_id = "a job",
          .card = {node + 1, 0, "algo-" + std::to_string(node + 1)},
          .names = {"algo-1", "algo-2", "algo-3"}};
}

}  // namespace

TEST_CASE("Ranks are numbered host by host, whatever each starts") {
  const std::vector<NodeCard> cards{{1, 0, "a"}, {2, 0, "b"}, {1, 0, "c"}};
  REQUIRE(rank_bases(cards) == std::vector<int>{0, 1, 3, 4});
  REQUIRE(rank_bases(std::vector<NodeCard>(3000, {1 << 19, 0, ""})).back() == 3000 * (1 << 19));
  REQUIRE_THROWS_AS(rank_bases(std::vector<NodeCard>(5000, {1 << 19, 0, ""})), Exception);
}

TEST_CASE("A card is read as it was written, and a name cannot break out of it") {
  const auto card = parse_node_card(to_text(NodeCard{8, 2, "algo-2"}));
  REQUIRE(card);
  REQUIRE(card->ranks == 8);
  REQUIRE(card->evaluators == 2);
  REQUIRE(card->name == "algo-2");
  REQUIRE(parse_node_card(to_text(NodeCard{1, 0, "a b\nc\xff"}))->name == "a?b?c\xff");
  REQUIRE(parse_node_card(to_text(NodeCard{1, 0, std::string(3000, 'x')}))->name.size() == 255);
  REQUIRE(parse_node_card(to_text(NodeCard{1, 0, ""}))->name.empty());
}

TEST_CASE("What no launcher writes is no card, place or event") {
  for (const char* text :
       {"", " ", "trireme-node/1", "trireme-node/1 0 0 x", "trireme-node/1 -1 0 x", "trireme-node/2 1 0 x",
        "trireme-node/1 1 x y", "trireme-node/1 99999999999 0 x", "trireme-node/1 1 0 a b"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_node_card(text));
  }
  for (const char* text :
       {"", "trireme-ranks/1 0 5", "trireme-ranks/1 5", "trireme-ranks/1 5 70000", "trireme-ranks/1 5 6 7"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_meeting_place(text));
  }
  REQUIRE(parse_meeting_place(to_text(MeetingPlace{4711, 4712}))->master_port == 4712);
  for (const char* text :
       {"", "1", "1 dance", "-1 done", "1 done it", "1 ended 2 0 9", "1 ended 2 300 0 0", "1 ended 2 0 99 0",
        "1 ended -2 0 9 0", "1 stop", "1 stop 0", "1 words", "0 outcome 1 0 2 50 short", "0 outcome 1 0"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_node_event(text));
  }
}

TEST_CASE("Events are read as they were written") {
  NodeEvent sent = NodeEvent::of_end({7, {0, SIGKILL}, true});
  sent.node = 3;
  auto got = parse_node_event(to_text(sent));
  REQUIRE(got);
  REQUIRE(got->node == 3);
  REQUIRE(got->kind == NodeEvent::Kind::rank_ended);
  REQUIRE(got->end.rank == 7);
  REQUIRE(got->end.status.signal == SIGKILL);
  REQUIRE(got->end.by_launcher);

  got = parse_node_event(
      to_text(NodeEvent::of_outcome({143, "trireme run: interrupted by SIGTERM", true, 4, "words of it"})));
  REQUIRE(got);
  REQUIRE(got->outcome.exit_code == 143);
  REQUIRE(got->outcome.line == "trireme run: interrupted by SIGTERM");
  REQUIRE(got->outcome.interrupted);
  REQUIRE(got->outcome.culprit == 4);
  REQUIRE(got->outcome.last_words == "words of it");
  REQUIRE(parse_node_event(to_text(NodeEvent::of_outcome({})))->outcome.line.empty());
  REQUIRE(parse_node_event(to_text(NodeEvent::of_stop(SIGTERM)))->signal == SIGTERM);
  REQUIRE(parse_node_event(to_text(NodeEvent::of_last_words(2, " spaces  stay ")))->text == " spaces  stay ");
  for (const auto kind : {NodeEvent::Kind::kill, NodeEvent::Kind::done, NodeEvent::Kind::farewell})
    REQUIRE(parse_node_event(to_text(NodeEvent(kind)))->kind == kind);
}

TEST_CASE("Changed bytes of cards and events never do more than be refused or mean another") {
  std::mt19937 random(7);
  const std::vector<std::string> texts{to_text(NodeCard{8, 2, "algo-2"}),
                                       to_text(NodeEvent::of_end({7, {1, 0}, false})),
                                       to_text(NodeEvent::of_outcome({1, "a line", false, 2, "words"}))};
  for (int i = 0; i < 20000; ++i) {
    std::string text = texts[random() % texts.size()];
    for (unsigned changes = random() % 4; changes > 0; --changes)
      text[random() % text.size()] = static_cast<char>(random());
    text.resize(random() % 8 == 0 ? random() % text.size() : text.size());
    if (const auto card = parse_node_card(text)) REQUIRE((card->ranks >= 1 && card->name.size() <= 255));
    if (const auto event = parse_node_event(text)) REQUIRE((event->node >= 0 && event->end.rank >= -1));
  }
}

TEST_CASE("Ports are had in the range that is given") {
  REQUIRE_FALSE(port_range({}));
  const auto range = port_range({{"TRIREME_PORT_RANGE", "40000-40100"}});
  REQUIRE(range->first == 40000);
  REQUIRE(range->last == 40100);
  for (const char* text : {"", "40000", "40100-40000", "0-5", "1-70000", "a-b", "1-2-3"})
    REQUIRE(has(error_of([&] { port_range({{"TRIREME_PORT_RANGE", text}}); }).message, "TRIREME_PORT_RANGE"));
  std::vector<std::uint16_t> tried;
  listen_in(PortRange{65534, 65535}, [&](std::uint16_t port) {
    tried.push_back(port);
    if (port == 65534) fail(ErrorCode::invalid_argument, "taken");
  });
  REQUIRE(tried == std::vector<std::uint16_t>{65534, 65535});
  REQUIRE_THROWS_AS(
      listen_in(PortRange{65535, 65535}, [](std::uint16_t) { fail(ErrorCode::invalid_argument, "taken"); }), Exception);
}

TEST_CASE("Launchers meet in any order, and read one journal") {
  const trireme::testing::ReservedPort port;
  std::vector<std::shared_ptr<Nodes>> nodes(3);
  {
    std::vector<std::thread> threads;
    for (int node : {2, 0, 1}) {
      threads.emplace_back([&, node] {
        nodes[static_cast<std::size_t>(node)] =
            Nodes::meet(launcher_options(port, node, 3), Deadline::after(std::chrono::seconds(30)));
      });
    }
    for (auto& thread : threads) thread.join();
  }
  for (const auto& each : nodes) {
    REQUIRE(each);
    REQUIRE(each->cards().size() == 3);
    REQUIRE(each->cards()[1].ranks == 2);
    REQUIRE(each->who(1) == "host algo-2 (node 1)");
  }
  nodes[0]->give_place({4711, 4712});
  REQUIRE(nodes[2]->await_place(Deadline::after(std::chrono::seconds(30))).store_port == 4711);
  nodes[1]->tell(NodeEvent::of_stop(SIGTERM));
  nodes[2]->tell(NodeEvent::of_end({5, {3, 0}, false}));
  std::vector<std::string> journals[3];
  for (std::size_t node = 0; node < 3; ++node) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (journals[node].size() < 2 && std::chrono::steady_clock::now() < end) {
      for (const NodeEvent& event : nodes[node]->take()) journals[node].push_back(to_text(event));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  REQUIRE(journals[0].size() == 2);
  REQUIRE(journals[1] == journals[0]);
  REQUIRE(journals[2] == journals[0]);
  std::vector<std::thread> leaving;
  for (auto& each : nodes) leaving.emplace_back([&] { each->leave(); });
  for (auto& thread : leaving) thread.join();
  for (const auto& each : nodes) REQUIRE_FALSE(each->loss());
}

TEST_CASE("Who waits for a host that does not come is told which, on every host") {
  const trireme::testing::ReservedPort port;
  std::string said[2];
  std::vector<std::thread> threads;
  for (int node : {0, 1}) {
    threads.emplace_back([&, node] {
      said[node] = error_of([&] {
                     Nodes::meet(launcher_options(port, node, 3), Deadline::after(std::chrono::milliseconds(700)));
                   }).message;
    });
  }
  for (auto& thread : threads) thread.join();
  for (const std::string& message : said) REQUIRE(has(message, "node 2 (algo-3) of 3 has not joined within 0."));
}

TEST_CASE("A launcher that was told another number of hosts, or is there twice, is refused") {
  const trireme::testing::ReservedPort port;
  std::thread first([&] {
    error_of([&] { Nodes::meet(launcher_options(port, 0, 3), Deadline::after(std::chrono::milliseconds(1500))); });
  });
  const auto soon = [] { return Deadline::after(std::chrono::milliseconds(1500)); };
  std::thread second([&] { error_of([&] { Nodes::meet(launcher_options(port, 1, 3), soon()); }); });
  const std::string other_number = error_of([&] { Nodes::meet(launcher_options(port, 2, 4), soon()); }).message;
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const std::string twice =
      error_of([&] {
        Nodes::meet(launcher_options(port, 1, 3), Deadline::after(std::chrono::milliseconds(600)));
      }).message;
  auto stranger = launcher_options(port, 2, 3);
  stranger.key = net::JobKey::derived("another job");
  const Error wrong_key = error_of([&] { Nodes::meet(stranger, soon()); });
  first.join();
  second.join();
  REQUIRE(has(other_number, "--nnodes is 4 here and 3 on node 0"));
  REQUIRE(has(twice, "node 1 is there already"));
  REQUIRE(wrong_key.code == ErrorCode::invalid_argument);
}

TEST_CASE("A launcher that is started again outwaits node 0 of the former start") {
  const trireme::testing::ReservedPort port;
  const auto patient = [] { return Deadline::after(std::chrono::seconds(30)); };
  std::thread former([&] {
    error_of([&] { Nodes::meet(launcher_options(port, 0, 2), Deadline::after(std::chrono::milliseconds(800))); });
  });
  {  // it comes, and goes before its job has begun
    auto key = net::JobKey::derived("a job");
    const rendezvous::ServerAddress address{.address = port.address, .key = key, .job_id = "nodes/a job", .rank = 1};
    REQUIRE(rendezvous::connect_store(address, patient())->add("arrivals/1", 1) == 1);
  }
  std::shared_ptr<Nodes> first, second;
  std::thread again([&] { second = Nodes::meet(launcher_options(port, 1, 2), patient()); });
  former.join();
  first = Nodes::meet(launcher_options(port, 0, 2), patient());
  again.join();
  REQUIRE(first->cards().size() == 2);
  std::thread other([&] { second->leave(); });
  first->leave();
  other.join();
}
