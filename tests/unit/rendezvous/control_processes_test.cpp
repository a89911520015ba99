// SPDX-License-Identifier: Apache-2.0
#include "child_process.hpp"
#include "ear.hpp"
#include "trireme/net/host.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace trireme;
using namespace trireme::rendezvous;
using namespace trireme::rendezvous::testing;
using Catch::Matchers::Contains;

namespace {

/// A process that joins as rank 2 on the port it is told, says so, and then does `then`.
ChildProcess rank_two(std::function<void(std::unique_ptr<ControlChannel>)> then) {
  return ChildProcess([then](const ChildProcess::Ends& ends) {
    Ear ear(waiting(17, {0}));
    auto channel = connect_control(rank_of({"127.0.0.1", ends.hear()}, 2), ear, soon());
    ends.tell(1);
    then(std::move(channel));
  });
}

void sleep_until_killed(std::unique_ptr<ControlChannel>) {
  for (;;) ::pause();
}

/// A server and ranks 0 and 1 of a world of three.
struct Rest {
  explicit Rest(const ChildProcess& child) : server(Server::start(slow())) {
    zero = connect_control(rank_of(server->address(), 0), first, soon());
    one = connect_control(rank_of(server->address(), 1), second, soon());
    REQUIRE_FALSE(server->everyone_joined());
    child.tell(server->address().port);
    child.hear();
    REQUIRE(server->everyone_joined());
  }
  static Server::Options slow() {
    Server::Options options = options_for(3);
    options.collection = std::chrono::milliseconds(1000);  // time to answer, also on a busy machine
    return options;
  }
  std::unique_ptr<Server> server;
  Ear first{waiting(17, {1})}, second{waiting(17, {2})};
  std::unique_ptr<ControlChannel> zero, one;
};

}  // namespace

TEST_CASE("A killed process is named on every survivor, with how it died and during what") {
  ChildProcess child = rank_two(sleep_until_killed);
  Rest rest(child);
  child.kill();
  rest.server->process_ended(2, "killed by signal 9");
  for (Ear* ear : {&rest.first, &rest.second}) {
    Cause verdict = ear->heard();
    REQUIRE(verdict.code == ErrorCode::peer_lost);
    REQUIRE(verdict.member == 2);
    REQUIRE(verdict.member_host == net::host_name());
    REQUIRE(verdict.operation_name == "all_reduce #17 'bucket 0'");
    REQUIRE(verdict.message ==
            "rank 2 (" + net::host_name() + ") died: killed by signal 9, during all_reduce #17 'bucket 0'");
  }
  REQUIRE(rest.server->verdict()->member == 2);
}

TEST_CASE("A killed process is named without a launcher, by its connection alone") {
  ChildProcess child = rank_two(sleep_until_killed);
  Rest rest(child);
  child.kill();
  REQUIRE(rest.first.heard().member == 2);
  REQUIRE(rest.second.heard().message == "rank 2 (" + net::host_name() + ") died, during all_reduce #17 'bucket 0'");
}

TEST_CASE("A process that ends without leaving is a loss, one that leaves is not") {
  SECTION("without leaving") {
    ChildProcess child = rank_two([](std::unique_ptr<ControlChannel>) { ::execl("/bin/true", "true", nullptr); });
    Rest rest(child);
    child.await_end();
    REQUIRE(rest.first.heard().code == ErrorCode::peer_lost);
    REQUIRE(rest.first.heard().member == 2);
  }
  SECTION("leaving, even if it is killed right after it") {
    ChildProcess child = rank_two([](std::unique_ptr<ControlChannel> channel) {
      channel->leave();
      ::raise(SIGKILL);
    });
    Rest rest(child);
    child.await_end();
    // A loss would be stronger than this and be named instead of it.
    rest.zero->report(failure(ErrorCode::system, 17, 0));
    REQUIRE(rest.first.heard().code == ErrorCode::system);
  }
}

TEST_CASE("A stopped process is named when its neighbour times out, not the neighbour") {
  ChildProcess child = rank_two(sleep_until_killed);
  Rest rest(child);
  child.stop();
  rest.zero->report(failure(ErrorCode::timeout, 17, 1));
  for (Ear* ear : {&rest.first, &rest.second}) {
    REQUIRE(ear->heard().code == ErrorCode::timeout);
    REQUIRE(ear->heard().member == 2);
    REQUIRE_THAT(ear->heard().message,
                 Contains("rank 2 (" + net::host_name() + ") does not answer: its process is stopped or hung"));
  }
}

TEST_CASE("A killed launcher is named, a stopped one keeps nobody from leaving") {
  ChildProcess launcher([](const ChildProcess::Ends& ends) {
    auto server = Server::start(options_for(2));
    ends.tell(server->address().port);
    for (;;) ::pause();
  });
  net::Address address{"127.0.0.1", launcher.hear()};
  Ear ear, other;
  auto channel = connect_control(rank_of(address, 0), ear, soon());
  SECTION("killed") {
    launcher.kill();
    REQUIRE(ear.heard().code == ErrorCode::peer_lost);
    REQUIRE(ear.heard().message == "the launcher at " + address.to_string() + " is gone");
  }
  SECTION("stopped") {
    auto second = connect_control(rank_of(address, 1), other, soon());
    launcher.stop();
    for (int i = 0; i < 1000; ++i) channel->report(failure(ErrorCode::timeout, 17, 1));
    std::thread leaving([&] {
      second->leave();
      second.reset();
    });
    channel->abandon();
    channel.reset();
    leaving.join();
    REQUIRE(ear.times() + other.times() == 0);
  }
}
