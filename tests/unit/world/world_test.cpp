// SPDX-License-Identifier: Apache-2.0
#include "trireme/world/world.hpp"

#include "support/failures.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstdlib>
#include <numeric>
#include <optional>

using namespace trireme;

using testing::error_of;

namespace {

/// No launcher, whatever started this test.
void forget_launcher() {
  for (const char* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
                           "GROUP_RANK", "TRIREME_STORE", "TRIREME_TRANSPORT", "TRIREME_ALGORITHM", "TRIREME_TIMEOUT_S",
                           "TRIREME_JOB_KEY", "TRIREME_JOB_KEY_FILE"}) {
    ::unsetenv(name);
  }
}

World alone() {
  forget_launcher();
  return World::open({.arena_reserve = Bytes{64u << 20}, .log = Log()});
}

}  // namespace

TEST_CASE("without a launcher every call works in a world of one and moves nothing") {
  World world = alone();
  REQUIRE(world.rank() == 0);
  REQUIRE(world.size() == 1);
  REQUIRE(world.local_rank() == 0);
  REQUIRE(world.local_size() == 1);
  REQUIRE(world.transport(0) == "self");
  REQUIRE(!world.host(0).empty());
  auto communicator = world.communicator();
  REQUIRE(communicator.member(0) == 0);

  std::vector<float> data(1000);
  std::iota(data.begin(), data.end(), 0.0f);
  const auto original = data;
  std::vector<float> out(1000);
  communicator.all_reduce(std::span(data));
  REQUIRE(data == original);
  communicator.all_reduce(std::span(data), average);
  REQUIRE(data == original);
  communicator.all_reduce(std::span<const float>(data), std::span(out), average_over(2.0));
  for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out[i] == data[i] / 2);
  communicator.all_reduce(std::span(data), sum, {.order = ReductionOrder::fastest, .leaves = 8});
  REQUIRE(data == original);
  communicator.reduce_scatter(std::span<const float>(data), std::span(out));
  REQUIRE(out == original);
  std::fill(out.begin(), out.end(), 0.0f);
  communicator.all_gather(std::span<const float>(data), std::span(out));
  REQUIRE(out == original);
  communicator.all_gather(std::span<const float>(data), std::span(data));  // in place
  communicator.broadcast(std::span(data));
  REQUIRE(data == original);
  communicator.barrier();
  std::vector<Work> works;
  works.push_back(communicator.all_reduce_async(std::span(data)));
  works.push_back(communicator.broadcast_async(TensorView(std::span(data))));
  works.push_back(communicator.barrier_async());
  for (auto& work : works) work.wait();
  REQUIRE(data == original);

  const auto half = communicator.split(3);
  REQUIRE(half);
  REQUIRE(half->size() == 1);
  REQUIRE(!communicator.split(-1));
  communicator.progress();
  REQUIRE(communicator.explain(1000).text.find("1 ranks") != std::string::npos);
  REQUIRE(communicator.flight_recorder_json().find("\"outcome\": \"done\"") != std::string::npos);
  REQUIRE(communicator.payload_bytes_sent() == 0);
  REQUIRE(!world.failure());
}

TEST_CASE("a rank that is none is refused") {
  World world = alone();
  auto communicator = world.communicator();
  std::array<float, 2> data{};
  for (const int rank : {-1, 1}) {
    CAPTURE(rank);
    REQUIRE(error_of([&] { world.transport(rank); }).code == ErrorCode::invalid_argument);
    REQUIRE(error_of([&] { world.host(rank); }).code == ErrorCode::invalid_argument);
    REQUIRE(error_of([&] { communicator.member(rank); }).code == ErrorCode::invalid_argument);
    REQUIRE(error_of([&] { communicator.broadcast(std::span<float>(data), rank); }).code ==
            ErrorCode::invalid_argument);
    REQUIRE(error_of([&] { communicator.send(std::span<const float>(data), rank); }).code ==
            ErrorCode::invalid_argument);
  }
  REQUIRE(error_of([&] { communicator.send(std::span<const float>(data), 0); }).message.find("this rank itself") !=
          std::string::npos);
  REQUIRE(!world.failure());  // a refused call harms nobody
  communicator.barrier();
}

TEST_CASE("opening takes the job key out of the environment") {
  forget_launcher();
  ::setenv("TRIREME_JOB_KEY", "0123456789abcdef0123", 1);
  const World world = World::open({.arena_reserve = Bytes{64u << 20}, .log = Log()});
  REQUIRE(::getenv("TRIREME_JOB_KEY") == nullptr);
}

TEST_CASE("opening with a broken description says what is broken") {
  forget_launcher();
  ::setenv("TRIREME_TIMEOUT_S", "soon", 1);
  const auto error = error_of([] { const World world = World::open({.log = Log()}); });
  ::unsetenv("TRIREME_TIMEOUT_S");
  REQUIRE(error.code == ErrorCode::invalid_argument);
  REQUIRE(error.message.find("TRIREME_TIMEOUT_S is 'soon'") != std::string::npos);
}

TEST_CASE("closing twice is closing once, and communicators that outlive their world fail with closed") {
  std::optional<Communicator> kept;
  std::optional<Communicator> part;
  {
    World world = alone();
    kept = world.communicator();
    part = kept->split(0);
    world.close();
    world.close();
    REQUIRE(world.size() == 1);
    std::array<float, 2> data{};
    const auto error = error_of([&] { kept->all_reduce(std::span<float>(data), sum, {.label = "w"}); });
    REQUIRE(error.code == ErrorCode::closed);
    REQUIRE(error.label == "w");
    REQUIRE(error.operation == "all_reduce");
  }
  REQUIRE(kept->size() == 1);
  REQUIRE(error_of([&] { kept->barrier(); }).code == ErrorCode::closed);
  REQUIRE(error_of([&] { part->barrier(); }).code == ErrorCode::closed);
  REQUIRE(error_of([&] { Work work = kept->barrier_async(); }).code == ErrorCode::closed);
  REQUIRE(error_of([&] { kept->split(0); }).code == ErrorCode::closed);
  kept->progress();
  REQUIRE(kept->flight_recorder_json().find("\"rank\": 0") != std::string::npos);
}

TEST_CASE("communicators of several ranks outlive their world too") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  std::vector<std::optional<Communicator>> kept(2);
  testing::run_ranks(2,
                     [&](World& world) {
                       kept[static_cast<std::size_t>(world.rank())] = world.communicator();
                       world.communicator().barrier();
                     },
                     {.transport = transport});
  for (auto& communicator : kept) {
    REQUIRE(communicator->size() == 2);
    REQUIRE(error_of([&] { communicator->barrier(); }).code == ErrorCode::closed);
  }
}

TEST_CASE("arena memory is zero, aligned, known to its world and outlives it") {
  ArenaBuffer buffer;
  std::optional<Memory> memory;
  {
    World world = alone();
    memory = world.memory();
    buffer = memory->allocate<double>(1000);
    REQUIRE(buffer.as<double>().size() == 1000);
    REQUIRE(reinterpret_cast<std::uintptr_t>(buffer.bytes().data()) % 128 == 0);
    REQUIRE(memory->contains(buffer.bytes().data(), Bytes{8000}));
    std::vector<double> foreign(10);
    REQUIRE(!memory->contains(foreign.data(), Bytes{80}));
    for (const double x : buffer.as<double>()) REQUIRE(x == 0);
    REQUIRE(error_of([&] { memory->allocate(Bytes{std::uint64_t{1} << 40}); }).code == ErrorCode::system);
  }
  buffer.as<double>()[999] = 3;
  REQUIRE(buffer.as<double>()[999] == 3);
  ArenaBuffer moved = std::move(buffer);
  REQUIRE(moved.as<double>()[999] == 3);
}

TEST_CASE("a world that is moved from has gone to its new place; one that is assigned to has closed") {
  World world = alone();
  World moved = std::move(world);
  moved.communicator().barrier();
  auto before = moved.communicator();
  moved = alone();
  REQUIRE(error_of([&] { before.barrier(); }).code == ErrorCode::closed);
  moved.communicator().barrier();
}
