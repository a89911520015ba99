// SPDX-License-Identifier: Apache-2.0
#include "comm/failure.hpp"

#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using namespace trireme;
using comm::Failure;
using rendezvous::Cause;
using namespace std::chrono_literals;

namespace {

Cause cause_of(const char* message) { return {.code = ErrorCode::peer_lost, .member = 2, .message = message}; }

/// A channel that remembers what was reported.
class FakeChannel final : public rendezvous::ControlChannel {
 public:
  void report(const Cause& cause) noexcept override { reported.push_back(cause.message); }
  void leave() noexcept override {}
  void abandon() noexcept override {}
  std::vector<std::string> reported;
};

}  // namespace

TEST_CASE("without a coordinator the first local failure aborts at once and stays") {
  Failure failure(1000ms);
  REQUIRE(!failure.aborted());
  REQUIRE(!failure.cause());
  failure.raise(cause_of("first"), nullptr);
  REQUIRE(failure.aborted());
  failure.raise(cause_of("second"), nullptr);
  failure.settle(cause_of("third"));
  REQUIRE(failure.cause()->message == "first");
  REQUIRE(failure.cause()->member == 2);
}

TEST_CASE("with a coordinator the verdict decides, and only the first local failure is reported") {
  Failure failure(1h);
  FakeChannel channel;
  failure.raise(cause_of("mine"), &channel);
  REQUIRE(!failure.aborted());
  REQUIRE(failure.pending());
  failure.raise(cause_of("mine, later"), &channel);
  failure.settle_if_overdue();
  REQUIRE(!failure.aborted());
  failure.settle(cause_of("the verdict"));
  REQUIRE(failure.aborted());
  failure.raise(cause_of("too late"), &channel);
  REQUIRE(failure.cause()->message == "the verdict");
  REQUIRE(channel.reported == std::vector<std::string>{"mine"});
}

TEST_CASE("when no verdict comes the local cause stands") {
  Failure failure(0ms);
  FakeChannel channel;
  failure.settle_if_overdue();  // nothing to settle
  REQUIRE(!failure.aborted());
  failure.raise(cause_of("mine"), &channel);
  failure.settle_if_overdue();
  REQUIRE(failure.aborted());
  REQUIRE(failure.cause()->message == "mine");
  failure.settle(cause_of("a verdict after all"));
  REQUIRE(failure.cause()->message == "mine");
}

TEST_CASE("of causes that come from several threads exactly one is kept, whole") {
  for (int round = 0; round < 50; ++round) {
    Failure failure(1h);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&failure, i] {
        failure.settle({.code = ErrorCode::timeout, .member = i, .message = "cause " + std::to_string(i)});
      });
    }
    while (!failure.aborted()) std::this_thread::yield();
    const auto seen = failure.cause();
    for (auto& thread : threads) thread.join();
    REQUIRE(seen);
    REQUIRE(seen->message == "cause " + std::to_string(seen->member));
    REQUIRE(failure.cause()->member == seen->member);
  }
}
