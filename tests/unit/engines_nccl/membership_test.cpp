// SPDX-License-Identifier: Apache-2.0
// How communicators come and go.
#include "engines/nccl/engine.hpp"
#include "engines/nccl/registered_buffer.hpp"
#include "engines_nccl/nccl_world.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <optional>
#include <vector>

using namespace trireme;
using namespace std::chrono_literals;
using testing::error_of;
using testing::fresh_nccl;
using testing::has;
using testing::OnDevice;
using testing::over_nccl;
using testing::run_ranks;
using testing::soon;

namespace {

/// The sum of 1 from each member of `communicator`.
int members_heard(Communicator communicator, const OnDevice& here) {
  std::vector<std::byte> bytes(4000 * sizeof(int));
  const int one = 1;
  for (std::size_t i = 0; i < 4000; ++i) std::memcpy(bytes.data() + i * sizeof one, &one, sizeof one);
  const auto buffer = here.up(bytes);
  const auto view = buffer.view(DType::i32, 4000);
  communicator.all_reduce(view, view, sum, {.stream = here.stream()});
  bytes = here.down(buffer);
  int last = 0;
  std::memcpy(&last, bytes.data() + bytes.size() - sizeof last, sizeof last);
  return last;
}

}  // namespace

TEST_CASE("communicators of all ranks are split off, those of a part find each other anew, and all end in order") {
  auto& fake = fresh_nccl();
  const auto options = over_nccl(4);
  std::atomic<int> wrong{0};
  run_ranks(
      4,
      [&](World& world) {
        const OnDevice here(world, options);
        auto communicator = world.communicator();
        {
          auto all = communicator.split(0, -communicator.rank());
          wrong += members_heard(*all, here) != 4;
        }
        auto half = communicator.split(communicator.rank() / 2);
        wrong += members_heard(*half, here) != 2;
        auto alone = half->split(half->rank());
        wrong += members_heard(*alone, here) != 1;
        auto three = communicator.split(communicator.rank() == 2 ? -1 : 0);
        if (three) wrong += members_heard(*three, here) != 3;
        wrong += members_heard(communicator, here) != 4;
      },
      options);
  REQUIRE(wrong == 0);
  REQUIRE(fake.inits == 4 + 4 + 4 + 3);
  REQUIRE(fake.splits == 4 + 2 * 4 + 4 + 3);  // for transfers too, where there is somebody to send to
  REQUIRE(fake.aborted == 0);
  REQUIRE(soon([&] { return fake.communicators == 0; }));
  REQUIRE(fake.destroyed == fake.finalized);
}

TEST_CASE("a communicator that NCCL takes its time to make, and calls that it takes later, are waited for") {
  auto& fake = fresh_nccl();
  fake.late = 4;
  const auto options = over_nccl(3);
  std::atomic<int> wrong{0};
  run_ranks(
      3,
      [&](World& world) {
        const OnDevice here(world, options);
        for (int i = 0; i < 3; ++i) wrong += members_heard(world.communicator(), here) != 3;
      },
      options);
  REQUIRE(wrong == 0);
  REQUIRE(fake.misused == 0);
}

TEST_CASE("ranks with different versions of NCCL are told which has which") {
  fresh_nccl();
  const auto usual = engines::nccl::factory(engines::nccl::load(FAKE_NCCL));
  const auto old = engines::nccl::factory(engines::nccl::load(FAKE_NCCL_OLD));
  const auto options = over_nccl(
      3, [&](comm::DeviceRoom room) { return room.room.rank == 2 ? old(std::move(room)) : usual(std::move(room)); });
  const Error error = error_of([&] {
    run_ranks(
        3, [](World&) {}, options);
  });
  REQUIRE(error.code == ErrorCode::mismatch);
  REQUIRE(has(error.message, "rank 0 ("));
  REQUIRE(has(error.message, "2.28.9, rank 2 ("));
  REQUIRE(has(error.message, "2.18.5"));
}

TEST_CASE("ranks that share a device are told so") {
  fresh_nccl();
  auto options = over_nccl(2);
  options.devices.runtime = device::emulated_runtime({.devices = 1});
  const Error error = error_of([&] {
    run_ranks(
        2, [](World&) {}, options);
  });
  REQUIRE(error.code == ErrorCode::unsupported);
  REQUIRE(has(error.message, "rank 0 and rank 1"));
  REQUIRE(has(error.message, "share device 0"));
}

TEST_CASE("a world in which some ranks have no device is not NCCL's") {
  fresh_nccl();
  auto options = over_nccl(2);
  options.ranks_with_devices = 1;
  const Error error = error_of([&] {
    run_ranks(
        2, [](World&) {}, options);
  });
  REQUIRE(error.code == ErrorCode::unsupported);
}

TEST_CASE("buffers that NCCL knows beforehand are symmetric, and plain where it has no way") {
  for (const char* path : {FAKE_NCCL, FAKE_NCCL_OLD}) {
    auto& fake = fresh_nccl(path);
    std::array<std::atomic<comm::Engine*>, 2> engines{};
    const auto factory = engines::nccl::factory(engines::nccl::load(path));
    const auto options = over_nccl(2, [&](comm::DeviceRoom room) {
      const auto rank = static_cast<std::size_t>(room.room.rank);
      auto engine = factory(std::move(room));
      engines[rank] = engine.get();
      return engine;
    });
    std::atomic<int> wrong{0}, symmetric{0};
    run_ranks(
        2,
        [&](World& world) {
          auto communicator = world.communicator();
          const OnDevice here(world, options);
          const int rank = communicator.rank();
          engines::nccl::RegisteredBuffer buffer(*engines[static_cast<std::size_t>(rank)], options.devices.runtime,
                                                 rank, 4000);
          symmetric += buffer.how() == engines::nccl::RegisteredBuffer::How::symmetric;
          wrong += buffer.size_bytes() < 4000;
          here.runtime().fill(buffer.data(), std::byte{3}, 4000, here.stream());
          const TensorView view(buffer.data(), 4000, DType::u8, {DeviceKind::cuda, rank});
          communicator.all_reduce(view, view, sum, {.stream = here.stream()});
          std::vector<std::byte> found(4000);
          here.runtime().copy(found.data(), buffer.data(), found.size(), here.stream());
          here.runtime().synchronize(here.stream());
          for (const std::byte each : found) wrong += each != std::byte{6};
        },
        options);
    CAPTURE(path);
    REQUIRE(wrong == 0);
    REQUIRE(symmetric == (std::string(path) == FAKE_NCCL ? 2 : 0));
    REQUIRE(fake.windows == 0);
    REQUIRE(fake.memories == 0);
  }
}

TEST_CASE("factors of pre-multiplied sums are made known to NCCL once each") {
  auto& fake = fresh_nccl();
  const auto options = over_nccl(2);
  std::atomic<int> made{0}, wrong{0};
  run_ranks(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, options);
        const float start = 3.0f;
        for (int round = 0; round < 6; ++round) {
          std::vector<std::byte> bytes(sizeof start);
          std::memcpy(bytes.data(), &start, sizeof start);
          const auto buffer = here.up(bytes);
          communicator.all_reduce(buffer.view(DType::f32, 1), buffer.view(DType::f32, 1),
                                  premultiplied_sum(1.0 + round % 2),
                                  {.order = ReductionOrder::fastest, .stream = here.stream()});
          bytes = here.down(buffer);
          float result = 0.0f;
          std::memcpy(&result, bytes.data(), sizeof result);
          wrong += result != (round % 2 == 0 ? 6.0f : 12.0f);
        }
        communicator.barrier();
        if (communicator.rank() == 0) made = fake.operations.load();
        communicator.barrier();
      },
      options);
  REQUIRE(wrong == 0);
  REQUIRE(made == 4);  // two on each rank
  REQUIRE(soon([&] { return fake.operations == 0; }));
}

TEST_CASE("what NCCL does is explained, with its price and what this version lacks") {
  fresh_nccl();
  for (const char* path : {FAKE_NCCL, FAKE_NCCL_OLD}) {
    std::atomic<comm::Engine*> engine{nullptr};
    const auto factory = engines::nccl::factory(engines::nccl::load(path));
    const auto options = over_nccl(1, [&](comm::DeviceRoom room) {
      auto made = factory(std::move(room));
      engine = made.get();
      return made;
    });
    Explanation native, canonical, gathered;
    run_ranks(
        1,
        [&](World&) {
          comm::Request request;
          request.leaves = 1;
          request.output = {nullptr, 1 << 20, DType::bf16, {DeviceKind::cuda, 0}};
          request.input = request.output;
          canonical = engine.load()->explain(request);
          request.order = ReductionOrder::fastest;
          native = engine.load()->explain(request);
          request.collective = plan::Collective::all_gather;
          gathered = engine.load()->explain(request);
        },
        options);
    REQUIRE(canonical.algorithm == "nccl_canonical");
    REQUIRE(has(canonical.text, "our sum in the canonical brackets"));
    REQUIRE(native.algorithm == "nccl_native");
    REQUIRE(has(native.text, "rounded at every addition"));
    REQUIRE(gathered.algorithm == "nccl");
    REQUIRE(has(gathered.text, "this NCCL lacks") == (std::string(path) == FAKE_NCCL_OLD));
  }
}
