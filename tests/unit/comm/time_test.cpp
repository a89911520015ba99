// SPDX-License-Identifier: Apache-2.0
// Deadlines, warnings and numbers, without peers: the engine does nothing until it is told to.
#include "support/failures.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/comm/scripted_engine.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <vector>

using namespace trireme;
using namespace std::chrono_literals;
using testing::Scripted;

using testing::error_of;
using testing::has;

TEST_CASE("a call's own deadline counts, and its end names operation, label and who is missing") {
  Scripted scripted({.timeout = 1h});
  scripted.script->missing = {3, 2};
  Work work = scripted.communicator().barrier_async({.deadline = 60ms, .label = "epoch end"});
  const auto error = error_of([&] { work.wait(); });
  REQUIRE(error);
  REQUIRE(error.code == ErrorCode::timeout);
  REQUIRE(error.operation == "barrier #0");
  REQUIRE(error.label == "epoch end");
  REQUIRE(error.peer_rank == 3);
  REQUIRE(error.peer_host == "host-a");
  REQUIRE(error.elapsed >= 60ms);
  REQUIRE(has(error.message, "barrier #0 'epoch end' has not finished after"));
  REQUIRE(has(error.message, "waiting for rank 3, 2"));
  REQUIRE(scripted.script->let_go == 1);
}

TEST_CASE("without a deadline of its own a call has the world's") {
  Scripted scripted({.timeout = 40ms});
  Work work = scripted.communicator().barrier_async();
  REQUIRE(error_of([&] { work.wait(); }).code == ErrorCode::timeout);
}

TEST_CASE("an operation's time begins when it is the oldest") {
  Scripted scripted({.timeout = 1h});
  Work first = scripted.communicator().barrier_async();
  Work second = scripted.communicator().barrier_async({.deadline = 50ms});
  REQUIRE(!second.wait_for(300ms));  // long past its deadline, had that begun at its issue
  scripted.script->finished = 1;
  REQUIRE(first.wait_for(10s));
  REQUIRE(first.error() == nullptr);
  const auto error = error_of([&] { second.wait(); });
  REQUIRE(error);
  REQUIRE(error.code == ErrorCode::timeout);
  REQUIRE(error.operation == "barrier #1");
}

TEST_CASE("a slow operation is warned about once, by name, and may still end well") {
  Scripted scripted({.timeout = 1h, .warn_after = 30ms});
  scripted.script->missing = {0, 2};
  Work work = scripted.communicator().barrier_async({.label = "epoch end"});
  REQUIRE(!work.wait_for(200ms));
  // The clock is not looked at in every round: wait until it has been.
  for (int i = 0; i < 500 && scripted.logged().empty(); ++i) work.wait_for(10ms);
  REQUIRE(!work.wait_for(150ms));
  const auto lines = scripted.logged();
  REQUIRE(lines.size() == 1);
  REQUIRE(has(lines[0], "warning: rank 0: barrier #0 'epoch end' has not finished after"));
  REQUIRE(has(lines[0], "waiting for rank 0, 2"));
  scripted.script->finished = 1;
  REQUIRE_NOTHROW(work.wait());
  REQUIRE(scripted.logged().size() == 1);
}

TEST_CASE("a crowd of missing ranks is counted, not listed") {
  Scripted scripted({.timeout = 30ms}, 64);
  for (int rank = 0; rank < 20; ++rank) scripted.script->missing.push_back(rank);
  Work work = scripted.communicator().barrier_async();
  REQUIRE(has(error_of([&] { work.wait(); }).message, "waiting for rank 0, 1, 2, 3, 4, 5, 6, 7 and 12 more"));
}

TEST_CASE("collectives are numbered together, sends and receives by peer, and a refused call takes no number") {
  Scripted scripted;
  scripted.script->finished = 100;
  auto communicator = scripted.communicator();
  std::vector<std::string> names;
  bool refuse = false;
  scripted.script->on_start = [&](const comm::Operation& operation) {
    if (refuse) fail(ErrorCode::unsupported, "not here");
    names.push_back(operation.name() + (operation.request.collective == plan::Collective::send_recv
                                            ? " with " + std::to_string(operation.request.root)
                                            : ""));
  };
  std::array<float, 4> data{};
  const auto copy = communicator;  // shares the numbering
  communicator.barrier();
  Communicator(copy).barrier();
  refuse = true;
  REQUIRE_THROWS_AS(communicator.barrier(), Exception);
  refuse = false;
  communicator.broadcast(std::span<float>(data));
  communicator.send(std::span<const float>(data), 0);
  communicator.send(std::span<const float>(data), 2);
  communicator.send(std::span<const float>(data), 0);
  communicator.recv(std::span<float>(data), 0);
  communicator.barrier();
  REQUIRE(names == std::vector<std::string>{"barrier #0", "barrier #1", "broadcast #2", "send_recv #0 with 0",
                                            "send_recv #0 with 2", "send_recv #1 with 0", "send_recv #0 with 0",
                                            "barrier #3"});
}

TEST_CASE("after a timeout every call fails at once with that cause, and so do operations under way") {
  Scripted scripted({.timeout = 1h});
  scripted.script->missing = {2};
  auto communicator = scripted.communicator();
  Work first = communicator.barrier_async({.deadline = 30ms});
  Work second = communicator.barrier_async();
  const auto cause = error_of([&] { first.wait(); });
  const auto other = error_of([&] { second.wait(); });
  REQUIRE(cause.code == ErrorCode::timeout);
  REQUIRE(other.code == ErrorCode::timeout);
  REQUIRE(other.message == cause.message);
  REQUIRE(other.operation == "barrier #1");
  try {
    communicator.barrier({.label = "late"});
    FAIL("did not throw");
  } catch (const Exception& caught) {
    REQUIRE(caught.error().message == cause.message);
    REQUIRE(caught.error().label == "late");
  }
}

TEST_CASE("a time to wait that does not fit the clock is for ever, and one that has passed is over") {
  REQUIRE(Deadline::after(std::chrono::hours::max()).is_never());
  REQUIRE(Deadline::after(std::chrono::milliseconds::max()).is_never());
  REQUIRE(Deadline::after(std::chrono::nanoseconds::max()).is_never());
  REQUIRE(Deadline::after(std::chrono::duration<double>(1e300)).is_never());
  REQUIRE(Deadline::after(std::chrono::milliseconds::min()).passed());
  REQUIRE(Deadline::after(std::chrono::milliseconds::min()).milliseconds_left() == 0);
  REQUIRE(!Deadline::after(std::chrono::hours(24 * 365 * 100)).passed());
  REQUIRE(nanoseconds_to_wait(std::chrono::milliseconds(5)) == 5'000'000ns);
  REQUIRE(nanoseconds_to_wait(std::chrono::duration<int, std::ratio<3600>>(2)) == 2h);
  REQUIRE(nanoseconds_to_wait(std::chrono::duration<double>(0.25)) == 250ms);
}

TEST_CASE("an endless deadline is no deadline: of a call, of a wait, of the world, of a warning") {
  Scripted scripted({.timeout = std::chrono::milliseconds::max(), .warn_after = std::chrono::milliseconds::max()});
  Work with_own = scripted.communicator().barrier_async({.deadline = std::chrono::milliseconds::max()});
  REQUIRE(!with_own.wait_for(50ms));
  scripted.script->finished = 1;
  REQUIRE(with_own.wait_for(std::chrono::hours::max()));
  REQUIRE(with_own.error() == nullptr);
  Work with_the_worlds = scripted.communicator().barrier_async();
  REQUIRE(!with_the_worlds.wait_for(50ms));
  scripted.script->finished = 2;
  REQUIRE_NOTHROW(with_the_worlds.wait());
  REQUIRE(scripted.logged().empty());
}

TEST_CASE("a world may be opened and run without any time limit") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "tcp");
  const auto endless = std::chrono::milliseconds::max();
  std::atomic<int> right{0};
  testing::run_ranks(2,
                     [&](World& world) {
                       std::vector<float> data(50000, 1.0f);
                       world.communicator().all_reduce(std::span(data));
                       world.communicator().all_reduce(std::span(data), sum, {.deadline = endless});
                       right += data.back() == 4.0f;
                     },
                     {.transport = transport, .world = {.timeout = endless, .join_timeout = endless}});
  REQUIRE(right == 2);
}

TEST_CASE("a receive posted early does not hide the deadline of a collective, nor of a receive from somebody else") {
  std::array<float, 1> early{}, other{};
  SECTION("of a collective") {
    Scripted scripted({.timeout = 1h});
    auto communicator = scripted.communicator();
    Work receive = communicator.recv_async(TensorView(std::span<float>(early)), 0);
    Work collective = communicator.barrier_async({.deadline = 40ms});
    const auto error = error_of([&] { collective.wait(); });
    REQUIRE(error.code == ErrorCode::timeout);
    REQUIRE(has(error.message, "barrier #0"));
    REQUIRE(error_of([&] { receive.wait(); }).message == error.message);
  }
  SECTION("of a receive") {
    Scripted scripted({.timeout = 1h});
    auto communicator = scripted.communicator();
    Work receive = communicator.recv_async(TensorView(std::span<float>(early)), 0);
    Work second = communicator.recv_async(TensorView(std::span<float>(other)), 2, {.deadline = 40ms, .label = "other"});
    const auto error = error_of([&] { second.wait(); });
    REQUIRE(error.code == ErrorCode::timeout);
    REQUIRE(has(error.message, "send_recv #0 'other'"));
    REQUIRE(error_of([&] { receive.wait(); }).message == error.message);
  }
}

TEST_CASE("a receive behind another from the same rank has its time from when that has ended") {
  std::array<float, 2> data{};
  Scripted scripted({.timeout = 1h});
  auto communicator = scripted.communicator();
  Work first = communicator.recv_async(TensorView(std::span<float>(data).first(1)), 0);
  Work second = communicator.recv_async(TensorView(std::span<float>(data).last(1)), 0, {.deadline = 40ms});
  Work collective = communicator.barrier_async();
  REQUIRE(!second.wait_for(200ms));
  scripted.script->finished = 1;  // the barrier too: each has the number 0
  REQUIRE_NOTHROW(first.wait());
  REQUIRE_NOTHROW(collective.wait());
  const auto error = error_of([&] { second.wait(); });
  REQUIRE(error.code == ErrorCode::timeout);
  REQUIRE(error.operation == "send_recv #1");
}

TEST_CASE("while one operation moves all the time the deadlines still count") {
  Scripted scripted({.timeout = 1h});
  scripted.script->busy = true;
  Work work = scripted.communicator().barrier_async({.deadline = 40ms});
  REQUIRE(work.wait_for(60s));
  REQUIRE(work.error()->code == ErrorCode::timeout);
}
