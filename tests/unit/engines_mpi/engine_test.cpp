// SPDX-License-Identifier: Apache-2.0
// The engine over a fake MPI of one rank, which fails as no MPI does when asked to.
#include "engines/mpi/engine.hpp"

#include "engines_mpi/fake_world.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <numeric>
#include <vector>

using namespace trireme;
using namespace std::chrono_literals;
using testing::Behaviour;
using testing::code_of;
using testing::error_of;
using testing::FakeWorld;
using testing::has;

/// What a failed world leaves to MPI is lost on purpose. Asked by the leak sanitizer, where there is one.
extern "C" __attribute__((visibility("default"))) const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:trireme::engines::mpi::Memory::reserve"; }

namespace {

std::vector<float> numbers(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

}  // namespace

TEST_CASE("large calls go in rounds and give every element") {
  FakeWorld world;
  const std::size_t count = engines::mpi::Lane::round_bytes / sizeof(float) + 1000;
  for (const auto order : {ReductionOrder::canonical, ReductionOrder::fastest}) {
    const auto input = numbers(count);
    std::vector<float> output(count);
    world.communicator->all_reduce(std::span<const float>(input), std::span(output), average_over(2.0),
                                   {.order = order});
    bool halved = true;
    for (std::size_t i = 0; i < count; ++i) halved &= output[i] == input[i] / 2.0f;
    REQUIRE(halved);
  }
  REQUIRE(world.fake.native == 2);             // two rounds
  REQUIRE(world.fake.begun == 1 + 4 + 1 + 2);  // agreement, to all and back in two rounds; agreement, two rounds
}

TEST_CASE("a barrier is the agreement alone, and an empty call too") {
  FakeWorld world;
  world.communicator->barrier();
  REQUIRE(world.fake.begun == 1);
  world.communicator->all_reduce(std::span<float>());
  REQUIRE(world.fake.begun == 2);
}

TEST_CASE("an error of MPI fails the operation in MPI's words, and MPI is left alone from then on") {
  FakeWorld world;
  world.fake.behaviour = GENERATE(Behaviour::refuses, Behaviour::fails);
  auto data = numbers(100);
  const auto error = error_of([&] { world.communicator->all_reduce(std::span(data), sum, {.label = "layer0"}); });
  REQUIRE(error.code == ErrorCode::system);
  REQUIRE(has(error.message, "the cable is cut"));
  REQUIRE(has(error.message, "rank 0 (host-a)"));
  REQUIRE(has(error.message, "'layer0'"));
  REQUIRE_FALSE(world.session->usable());
  const int begun = world.fake.begun;
  world.fake.behaviour = Behaviour::works;
  REQUIRE(code_of([&] { world.communicator->barrier(); }) == ErrorCode::system);
  REQUIRE(world.fake.begun == begun);
  world.session->close();
  REQUIRE(world.fake.finalized == 0);
}

TEST_CASE("what MPI writes after the deadline goes to memory that nobody else has") {
  std::byte* written = nullptr;
  {
    FakeWorld world(50ms);
    auto data = numbers(1000);
    const auto before = data;
    world.communicator->all_reduce(std::span(data));
    world.fake.behaviour = Behaviour::never_ends;
    REQUIRE(code_of([&] { world.communicator->all_reduce(std::span(data)); }) == ErrorCode::timeout);
    REQUIRE(data == before);
    written = world.fake.written;
    REQUIRE_FALSE(world.session->usable());
  }
  std::memset(written, 1, 32);  // the world is gone: the address sanitizer would object to freed memory
}

TEST_CASE("operations issued ahead take the lanes in turn and end in order") {
  FakeWorld world;
  std::vector<std::vector<float>> data(9, numbers(5000));
  std::vector<Work> work;
  world.fake.behaviour = Behaviour::never_ends;
  for (auto& each : data) work.push_back(world.communicator->all_reduce_async(std::span(each)));
  REQUIRE(world.fake.begun == 2);  // one agreement per lane
  world.fake.behaviour = Behaviour::works;
  for (auto each = work.rbegin(); each != work.rend(); ++each) each->wait();
  REQUIRE(data == std::vector<std::vector<float>>(9, numbers(5000)));
}

TEST_CASE("a part of the ranks has MPI communicators of its own, freed with it") {
  FakeWorld world;
  auto part = world.communicator->split(0);
  auto data = numbers(10);
  part->all_reduce(std::span(data));
  REQUIRE(data == numbers(10));
  part.reset();
  REQUIRE(world.fake.freed == 2);
}

TEST_CASE("a communicator that MPI does not finish making is given up at the deadline") {
  FakeWorld world(80ms);
  world.fake.blocks = true;
  REQUIRE(code_of([&] { world.communicator->split(0); }) == ErrorCode::timeout);
  REQUIRE_FALSE(world.session->usable());
  REQUIRE(code_of([&] { world.communicator->barrier(); }) == ErrorCode::closed);
  world.fake.blocks = false;
}

TEST_CASE("explain says who adds, and why the canonical order costs more") {
  FakeWorld world;
  REQUIRE(world.communicator->explain(100000).algorithm == "mpi_canonical");
  const auto native = world.communicator->explain(100000, DType::f32, {.order = ReductionOrder::fastest});
  REQUIRE(native.algorithm == "mpi_native");
  REQUIRE(has(native.text, "Fake MPI v1"));
}
