// SPDX-License-Identifier: Apache-2.0
#include "ear.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <functional>
#include <thread>

using namespace trireme;
using namespace trireme::rendezvous;
using namespace trireme::rendezvous::testing;
using Catch::Matchers::Contains;

namespace {

using Open = std::function<std::unique_ptr<ControlChannel>(int rank, ControlListener& listener)>;

/// `collection`: over tcp; time to answer, where answers matter, also on a busy machine.
Open open_world(const std::string& kind, int world_size,
                std::chrono::milliseconds collection = std::chrono::milliseconds(20)) {
  if (kind == "in process") {
    auto control = std::make_shared<InProcessControl>(world_size, std::chrono::milliseconds(20));
    return [control](int rank, ControlListener& listener) { return control->open(rank, listener); };
  }
  Server::Options options = options_for(world_size);
  options.collection = collection;
  std::shared_ptr<Server> server = Server::start(options);
  return [server](int rank, ControlListener& listener) {
    return connect_control(rank_of(server->address(), rank), listener, soon());
  };
}

}  // namespace

TEST_CASE("All ranks hear the same verdict, once") {
  Open open = open_world(GENERATE("in process", "tcp"), 3, std::chrono::milliseconds(1000));
  std::deque<Ear> ears;
  for (int rank = 0; rank < 3; ++rank) ears.emplace_back(rank == 2 ? idle(16) : waiting(17, {(rank + 1) % 3}));
  std::vector<std::unique_ptr<ControlChannel>> channels;
  for (int rank = 0; rank < 3; ++rank) channels.push_back(open(rank, ears[static_cast<std::size_t>(rank)]));

  SECTION("of a mismatch, by its report") {
    channels[1]->report(failure(ErrorCode::mismatch, 17, 2));
    channels[2]->report(failure(ErrorCode::mismatch, 17, 1));
    for (Ear& ear : ears) {
      REQUIRE(ear.heard().code == ErrorCode::mismatch);
      REQUIRE((ear.heard().member == 1 || ear.heard().member == 2));
      REQUIRE(ear.heard().member == ears[0].heard().member);
    }
  }
  SECTION("of a timeout, by following who waits for whom") {
    channels[0]->report(failure(ErrorCode::timeout, 17, 1));
    for (Ear& ear : ears) {
      REQUIRE(ear.heard().code == ErrorCode::timeout);
      REQUIRE(ear.heard().member == 2);
      REQUIRE_THAT(
          ear.heard().message,
          Contains("has not called all_reduce #17 'bucket 0'; its last operation was all_reduce #16 'bucket 0'"));
      REQUIRE(ear.questions() == 1);
    }
  }
  SECTION("of a rank that unwinds") {
    channels[1]->abandon();
    channels[1].reset();
    for (std::size_t rank : {0u, 2u}) {
      REQUIRE(ears[rank].heard().code == ErrorCode::peer_lost);
      REQUIRE(ears[rank].heard().member == 1);
      REQUIRE_THAT(ears[rank].heard().message,
                   Contains("died: an exception closed its World, during all_reduce #17 'bucket 0'"));
    }
    REQUIRE(ears[1].times() == 0);
  }
  SECTION("of a rank that left while another waits for it") {
    channels[1]->leave();
    channels[1]->leave();
    channels[0]->report(failure(ErrorCode::timeout, 17, 1));
    for (std::size_t rank : {0u, 2u}) {
      REQUIRE(ears[rank].heard().code == ErrorCode::peer_lost);
      REQUIRE_THAT(ears[rank].heard().message, Contains("rank 1 (") && Contains("has left the world"));
    }
    channels[1].reset();
    REQUIRE(ears[1].times() == 0);
  }
  for (auto& channel : channels) channel.reset();
  for (Ear& ear : ears) REQUIRE(ear.times() <= 1);
}

TEST_CASE("Ranks that leave in good order are no failure") {
  Open open = open_world(GENERATE("in process", "tcp"), 3);
  Ear first(waiting(5, {})), second, third;
  auto channel = open(0, first);
  auto leaves = open(1, second);
  auto closes = open(2, third);
  leaves->leave();
  leaves->abandon();  // too late: it has left
  leaves->report(failure(ErrorCode::mismatch, 1, 0));
  leaves.reset();
  closes.reset();
  // A loss would be stronger than this and be named instead of it.
  channel->report(failure(ErrorCode::system, 5, 0));
  REQUIRE(first.heard().code == ErrorCode::system);
  REQUIRE(second.times() + third.times() == 0);
}

TEST_CASE("A rank that joins after the verdict hears it at once") {
  Open open = open_world(GENERATE("in process", "tcp"), 2);
  Ear early, late;
  auto channel = open(0, early);
  channel->report(failure(ErrorCode::mismatch, 3, 1));
  REQUIRE(early.heard().code == ErrorCode::mismatch);
  auto second = open(1, late);
  REQUIRE(late.heard().code == ErrorCode::mismatch);
  REQUIRE(late.heard().message == "something failed");
}

TEST_CASE("A second process of a rank, and a rank outside the world, are refused by name") {
  Open open = open_world(GENERATE("in process", "tcp"), 2);
  Ear ear, other;
  auto channel = open(1, ear);
  auto refusal = [&](int rank) {
    try {
      open(rank, other);
    } catch (const Exception& exception) {
      REQUIRE(exception.error().code == ErrorCode::invalid_argument);
      return exception.error().message;
    }
    return std::string();
  };
  REQUIRE_THAT(refusal(1), Contains("rank 1 has joined already"));
  REQUIRE_THAT(refusal(2), Contains("rank 2 is outside the world of 2 ranks"));
  REQUIRE_THAT(refusal(-1), Contains("rank -1 is outside the world"));
  // None of this disturbed the one that is there.
  auto zero = open(0, other);
  zero->report(failure(ErrorCode::mismatch, 3, 1));
  REQUIRE(ear.heard().code == ErrorCode::mismatch);
}

TEST_CASE("A listener may report and leave from within a call") {
  struct Eager final : ControlListener {
    Status status() noexcept override {
      (*channel)->report(failure(ErrorCode::mismatch, 2, 1));
      return waiting(2, {1});
    }
    void verdict(const Cause& cause) noexcept override {
      (*channel)->leave();
      inner.verdict(cause);
    }
    std::unique_ptr<ControlChannel>* channel = nullptr;
    Ear inner;
  };
  Open open = open_world(GENERATE("in process", "tcp"), 2, std::chrono::milliseconds(1000));
  Eager eager;
  Ear other(waiting(2, {0}));
  std::unique_ptr<ControlChannel> channel;
  eager.channel = &channel;
  channel = open(0, eager);
  auto second = open(1, other);
  second->report(failure(ErrorCode::timeout, 2, 0));
  REQUIRE(other.heard().code == ErrorCode::mismatch);
  REQUIRE(eager.inner.heard().code == ErrorCode::mismatch);
}

TEST_CASE("Channels that close while a verdict is on its way do not disturb it") {
  Open open = open_world(GENERATE("in process", "tcp"), 4);
  std::deque<Ear> ears(4);
  std::vector<std::unique_ptr<ControlChannel>> channels;
  for (int rank = 0; rank < 4; ++rank) channels.push_back(open(rank, ears[static_cast<std::size_t>(rank)]));
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < 3; ++rank) {
    threads.emplace_back([&, rank] {
      channels[rank]->report(failure(ErrorCode::corrupt, 9, 1));
      if (rank == 0) ears[0].heard();
      channels[rank].reset();
    });
  }
  REQUIRE(ears[3].heard().code == ErrorCode::corrupt);
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("A server that is closed while causes are collected still publishes its verdict") {
  auto server = Server::start(options_for(3));
  Ear first(waiting(4, {1})), second(waiting(4, {2}));
  auto zero = connect_control(rank_of(server->address(), 0), first, soon());
  auto one = connect_control(rank_of(server->address(), 1), second, soon());
  server->process_ended(2, "exited with code 1");
  server.reset();
  for (Ear* ear : {&first, &second}) {
    REQUIRE(ear->heard().member == 2);
    REQUIRE(ear->heard().message == "rank 2 ended before it joined: exited with code 1");
  }
}
