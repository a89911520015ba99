// SPDX-License-Identifier: Apache-2.0
// How communicators come and go.
#include "engines/nccl/engine.hpp"
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

TEST_CASE(
    "communicators of all ranks are split off, parts find each other anew or are what a shrunk one leaves, and all end") {
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
  REQUIRE(fake.inits == 4 + 4 + 4);
  REQUIRE(fake.shrinks == 3);
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

TEST_CASE("a communicator of most is shrunk once for a parent, in the parent's order, where this NCCL can") {
  for (const char* path : {FAKE_NCCL, FAKE_NCCL_MIDDLE}) {
    auto& fake = fresh_nccl(path);
    const auto options = over_nccl(4, path);
    std::atomic<int> wrong{0};
    run_ranks(
        4,
        [&](World& world) {
          const OnDevice here(world, options);
          auto communicator = world.communicator();
          const auto heard = [&](const std::vector<int>& ranks) {
            auto some = communicator.subgroup(ranks);
            if (some) wrong += members_heard(*some, here) != static_cast<int>(ranks.size());
            communicator.barrier();
          };
          const auto made = [&](int shrinks, int inits) {
            communicator.barrier();
            wrong += fake.shrinks != (path == std::string(FAKE_NCCL) ? shrinks : 0);
            wrong += fake.inits != (path == std::string(FAKE_NCCL) ? inits : inits + shrinks);
            communicator.barrier();
          };
          heard({3, 1});  // in another order than the parent's
          made(0, 4 + 2);
          heard({0, 2, 3});
          made(3, 4 + 2);
          heard({1, 3});  // NCCL gives all that are shrunk from one parent the same name
          made(3, 4 + 2 + 2);
          auto all = communicator.split(0);
          wrong += members_heard(*all, here) != 4;
          made(3, 4 + 2 + 2);
          const std::vector<int> two{0, 3};
          if (auto fresh = all->subgroup(two)) wrong += members_heard(*fresh, here) != 2;
          made(5, 4 + 2 + 2);
        },
        options);
    CAPTURE(path);
    REQUIRE(wrong == 0);
    REQUIRE(fake.misused == 0);
    REQUIRE(soon([&] { return fake.communicators == 0; }));
  }
}

TEST_CASE("nothing is connected within an operation of the user") {
  for (const char* path : {FAKE_NCCL, FAKE_NCCL_OLD}) {
    auto& fake = fresh_nccl(path);
    const auto options = over_nccl(3, path);
    std::atomic<int> before{0}, made{0};
    run_ranks(
        3,
        [&](World& world) {
          const OnDevice here(world, options);
          auto communicator = world.communicator();
          const int rank = communicator.rank();
          communicator.barrier();
          if (rank == 0) before = fake.connections.load();
          communicator.barrier();
          const auto in = here.room_for(12000), out = here.room_for(12000);
          here.runtime().fill(in.data(), std::byte{0}, 12000, here.stream());
          const auto all = in.view(DType::f32, 3000), mean = out.view(DType::f32, 3000);
          const auto part = in.view(DType::f32, 1000), small = out.view(DType::f32, 1000);
          for (const auto order : {ReductionOrder::canonical, ReductionOrder::fastest}) {
            const CallOptions call{.order = order, .stream = here.stream()};
            communicator.all_reduce(all, mean, sum, call);
            communicator.all_reduce(part, small, sum, call);
            communicator.reduce(all, mean, 1, sum, call);
            communicator.reduce_scatter(all, small, sum, call);
          }
          const CallOptions call{.stream = here.stream()};
          communicator.all_gather(part, mean, call);
          communicator.gather(part, mean, 2, call);
          communicator.scatter(all, small, 0, call);
          communicator.all_to_all(all, mean, call);
          communicator.broadcast(mean, 1, call);
          auto sent = communicator.send_async(part, (rank + 1) % 3, call);
          communicator.recv(small, (rank + 2) % 3, call);
          sent.wait();
          communicator.barrier();
          if (rank == 0) made = fake.connections - before;
          communicator.barrier();
        },
        options);
    CAPTURE(path);
    REQUIRE(before >=
            3 * 5 + 2 * 3 * 2);  // five kinds of collectives; two peers of each rank, for collectives and for sends
    REQUIRE(made == 0);
  }
}

TEST_CASE("connections that are not made end the joining, bounded and named") {
  auto& fake = fresh_nccl();
  fake.hang_rank = 1;
  auto options = over_nccl(3);
  options.world.join_timeout = 300ms;
  const Error error = error_of([&] {
    run_ranks(
        3, [](World&) {}, options);
  });
  CAPTURE(to_string(error));
  REQUIRE(has(error.message, "NCCL"));
  REQUIRE(has(error.message, "connect"));
  REQUIRE(soon([&] { return fake.communicators == 0; }));
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
