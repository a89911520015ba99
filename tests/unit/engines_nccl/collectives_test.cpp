// SPDX-License-Identifier: Apache-2.0
// Every operation over the fake NCCL, beside the host engine's on the same numbers.
#include "engines_nccl/every_operation.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <string>
#include <vector>

using namespace trireme;
using testing::ByteVector;
using testing::elements;
using testing::Findings;
using testing::fresh_nccl;
using testing::move_everything;
using testing::OnDevice;
using testing::over_nccl;
using testing::reduce_everything;
using testing::run_ranks;
using testing::view;

namespace {

/// Reductions of NCCL's own by which each rank is connected when a communicator is made.
constexpr int connecting = 3;

}  // namespace

TEST_CASE("canonical reductions over NCCL have the host's bits: every dtype and operation on 1 to 4 ranks") {
  auto& fake = fresh_nccl();
  for (int ranks = 1; ranks <= 4; ++ranks) {
    CAPTURE(ranks);
    fake.forget();
    Findings findings;
    const auto options = over_nccl(ranks);
    run_ranks(
        ranks, [&](World& world) { reduce_everything(world, options, ReductionOrder::canonical, findings); }, options);
    REQUIRE(findings.compared > 250);
    REQUIRE(findings.differ == 0);
    REQUIRE(fake.native == connecting * ranks);
    REQUIRE(fake.misused == 0);
  }
}

TEST_CASE("in the fastest order NCCL reduces by itself what it has, and what is exact is the same") {
  auto& fake = fresh_nccl();
  for (int ranks = 1; ranks <= 4; ++ranks) {
    CAPTURE(ranks);
    fake.forget();
    Findings findings;
    const auto options = over_nccl(ranks);
    run_ranks(
        ranks, [&](World& world) { reduce_everything(world, options, ReductionOrder::fastest, findings); }, options);
    REQUIRE(findings.differ == 0);
    REQUIRE(fake.native > connecting * ranks);
  }
}

TEST_CASE("native and canonical reductions can be told apart") {
  fresh_nccl();
  const auto options = over_nccl(3);
  std::atomic<int> rotated{0}, ordered{0};
  run_ranks(
      3,
      [&](World& world) {
        const OnDevice here(world, options);
        const float values[] = {1e8f, 1.0f, -1e8f};
        const float mine = values[world.communicator().rank()];
        for (const auto order : {ReductionOrder::canonical, ReductionOrder::fastest}) {
          ByteVector bytes(sizeof mine);
          std::memcpy(bytes.data(), &mine, sizeof mine);
          const auto buffer = here.up(bytes);
          world.communicator().all_reduce(buffer.view(DType::f32, 1), buffer.view(DType::f32, 1), sum,
                                          {.order = order, .stream = here.stream()});
          bytes = here.down(buffer);
          float result = 0.0f;
          std::memcpy(&result, bytes.data(), sizeof result);
          // (1e8 + 1) - 1e8 in the brackets; the fake adds (1 - 1e8) + 1e8.
          if (order == ReductionOrder::canonical && result == (1e8f + 1.0f) - 1e8f) ++ordered;
          if (order == ReductionOrder::fastest && result == (1.0f + -1e8f) + 1e8f) ++rotated;
        }
      },
      options);
  REQUIRE(ordered == 3);
  REQUIRE(rotated == 3);
}

TEST_CASE("whatever only moves bytes arrives over NCCL as over the host") {
  for (const char* path : {FAKE_NCCL, FAKE_NCCL_OLD}) {
    fresh_nccl(path);
    for (int ranks = 1; ranks <= 4; ++ranks) {
      CAPTURE(path, ranks);
      Findings findings;
      const auto options = over_nccl(ranks, path);
      run_ranks(
          ranks, [&](World& world) { move_everything(world, options, findings); }, options);
      REQUIRE(findings.compared > 0);
      REQUIRE(findings.differ == 0);
    }
  }
}

TEST_CASE("a group of hundreds of tensors is one group of calls, in both orders the host's bits") {
  auto& fake = fresh_nccl();
  const auto options = over_nccl(3);
  for (const auto order : {ReductionOrder::fastest, ReductionOrder::canonical}) {
    Findings findings;
    std::atomic<int> groups{0};
    run_ranks(
        3,
        [&](World& world) {
          auto communicator = world.communicator();
          const OnDevice here(world, options);
          std::vector<ByteVector> host;
          std::vector<device::Buffer> device;
          std::vector<TensorView> on_host, on_device;
          for (std::size_t i = 0; i < 300; ++i) {
            host.push_back(elements(DType::f32, i % 17 == 3 ? 0 : 1 + i,
                                    i + static_cast<std::size_t>(communicator.rank()),
                                    order == ReductionOrder::fastest));
            device.push_back(here.up(host.back()));
          }
          for (std::size_t i = 0; i < host.size(); ++i) {
            on_host.push_back(view(host[i], DType::f32));
            on_device.push_back(device[i].view(DType::f32, on_host[i].count));
          }
          const auto compare = [&] {
            for (std::size_t i = 0; i < host.size(); ++i) findings.compare(host[i], here.down(device[i]));
          };
          communicator.all_reduce_group(on_host, average, {.order = order});
          communicator.barrier();
          if (communicator.rank() == 0) fake.forget();
          communicator.barrier();
          communicator.all_reduce_group(on_device, average, {.order = order, .stream = here.stream()});
          communicator.barrier();
          if (communicator.rank() == 0) groups = fake.groups.load();
          compare();
          if (order == ReductionOrder::canonical) {
            const double factor = 0.5 + communicator.rank();
            communicator.all_reduce_group(on_host, premultiplied_sum(factor));
            communicator.all_reduce_group(on_device, premultiplied_sum(factor), {.stream = here.stream()});
            compare();
          }
          communicator.broadcast_group(on_host, 1);
          communicator.broadcast_group(on_device, 1, {.stream = here.stream()});
          compare();
        },
        options);
    CAPTURE(name_of(order));
    REQUIRE(findings.differ == 0);
    REQUIRE(groups == (order == ReductionOrder::fastest ? 3 : 6));  // the exchange and the gathering, on each rank
    REQUIRE(fake.largest_group >= 282);
  }
}

TEST_CASE("operations run behind what the caller's stream was given, and it goes on behind them, without the host") {
  auto& fake = fresh_nccl();
  const auto options =
      over_nccl(4, engines::nccl::factory(engines::nccl::load(FAKE_NCCL)), std::chrono::microseconds(100));
  for (const int late : {0, 3}) {
    Findings findings;
    run_ranks(
        4,
        [&](World& world) {
          auto communicator = world.communicator();
          const OnDevice here(world, options);
          const std::size_t count = 5000;
          const auto buffer = here.room_for(count);
          const auto result = here.room_for(count);
          ByteVector expected(count), found(count);
          if (communicator.rank() == 0) fake.late = late;
          communicator.barrier();
          for (int round = 1; round <= 20; ++round) {
            here.runtime().fill(buffer.data(), static_cast<std::byte>(round), count, here.stream());
            const auto bytes = buffer.view(DType::u8, count);
            auto work = communicator.all_reduce_async(bytes, bytes, sum, {.stream = here.stream()});
            work.wait_on(here.stream());
            here.runtime().copy(result.data(), buffer.data(), count, here.stream());
            here.runtime().fill(buffer.data(), std::byte{99}, count, here.stream());
            std::fill(expected.begin(), expected.end(), static_cast<std::byte>(4 * round));
            here.runtime().copy(found.data(), result.data(), count, here.stream());
            here.runtime().synchronize(here.stream());
            findings.compare(expected, found);
            work.wait();
          }
        },
        options);
    CAPTURE(late);
    REQUIRE(findings.differ == 0);
    REQUIRE(fake.misused == 0);
    fake.late = 0;
  }
}

TEST_CASE("partial sums in f32 become bf16 over NCCL with the host's bits") {
  fresh_nccl();
  const auto options = over_nccl(3);
  Findings findings;
  run_ranks(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, options);
        for (const std::size_t count : {std::size_t{100}, std::size_t{6000}}) {
          ByteVector input = elements(DType::f32, count, static_cast<std::uint64_t>(communicator.rank())),
                     output(2 * count);
          const auto in = here.up(input), out = here.up(output);
          communicator.all_reduce(view(input, DType::f32), view(output, DType::bf16), average, {.leaves = 8});
          communicator.all_reduce(in.view(DType::f32, count), out.view(DType::bf16, count), average,
                                  {.stream = here.stream(), .leaves = 8});
          findings.compare(output, here.down(out));
        }
      },
      options);
  REQUIRE(findings.compared == 6);
  REQUIRE(findings.differ == 0);
}
