// SPDX-License-Identifier: Apache-2.0
// Sends and receives are ordered with nothing but each other between one pair.
#include "engines_nccl/nccl_world.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <vector>

using namespace trireme;
using testing::elements;
using testing::fresh_nccl;
using testing::OnDevice;
using testing::over_nccl;
using testing::run_ranks;

TEST_CASE("every rank sends to the next before it receives, and nobody waits in a circle") {
  for (const int late : {0, 2}) {
    auto& fake = fresh_nccl();
    for (int ranks = 2; ranks <= 4; ++ranks) {
      CAPTURE(ranks, late);
      const auto options = over_nccl(ranks);
      std::atomic<int> wrong{0};
      fake.late = late;
      run_ranks(
          ranks,
          [&](World& world) {
            auto communicator = world.communicator();
            const OnDevice here(world, options);
            const int next = (communicator.rank() + 1) % ranks, previous = (communicator.rank() + ranks - 1) % ranks;
            for (std::uint64_t round = 0; round < 10; ++round) {
              const std::size_t count = round == 3 ? 0 : 700 * round + 1;
              const auto out =
                  here.up(elements(DType::f32, count, 10 * round + static_cast<std::uint64_t>(communicator.rank())));
              const auto in = here.room_for(count * sizeof(float));
              auto sent = communicator.send_async(out.view(DType::f32, count), next, {.stream = here.stream()});
              communicator.recv(in.view(DType::f32, count), previous, {.stream = here.stream()});
              sent.wait();
              wrong += here.down(in) != elements(DType::f32, count, 10 * round + static_cast<std::uint64_t>(previous));
            }
          },
          options);
      REQUIRE(wrong == 0);
      REQUIRE(fake.misused == 0);
    }
  }
}

TEST_CASE("transfers and collectives may be called in different orders on different ranks") {
  fresh_nccl();
  const auto options =
      over_nccl(3, engines::nccl::factory(engines::nccl::load(FAKE_NCCL)), std::chrono::microseconds(30));
  std::atomic<int> wrong{0};
  run_ranks(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, options);
        const int rank = communicator.rank();
        const std::size_t count = 3000;
        const auto mine = here.up(elements(DType::u8, count, static_cast<std::uint64_t>(rank)));
        const auto summed = here.up(elements(DType::u8, count, 7));
        const auto view = mine.view(DType::u8, count), sum_view = summed.view(DType::u8, count);
        std::vector<device::Buffer> received;
        for (int peer = 0; peer < 3; ++peer) received.push_back(here.room_for(count));
        std::vector<Work> works;
        const auto reduce = [&] { works.push_back(communicator.all_reduce_async(sum_view, sum_view, maximum)); };
        if (rank == 1) reduce();
        for (int i = 1; i <= 2; ++i) {  // the peers in another order on each rank
          const int peer = rank == 1 ? (rank + 3 - i) % 3 : (rank + i) % 3;
          works.push_back(communicator.send_async(view, peer));
          if (rank == 0 && i == 1) reduce();
        }
        for (int i = 1; i <= 2; ++i) {
          const int peer = rank == 2 ? (rank + 3 - i) % 3 : (rank + i) % 3;
          works.push_back(
              communicator.recv_async(received[static_cast<std::size_t>(peer)].view(DType::u8, count), peer));
        }
        if (rank == 2) reduce();
        for (auto work = works.rbegin(); work != works.rend(); ++work) work->wait();
        for (int peer = 0; peer < 3; ++peer) {
          if (peer != rank)
            wrong += here.down(received[static_cast<std::size_t>(peer)]) !=
                     elements(DType::u8, count, static_cast<std::uint64_t>(peer));
        }
        wrong += here.down(summed) != elements(DType::u8, count, 7);
      },
      options);
  REQUIRE(wrong == 0);
}

TEST_CASE("a send and a receive of different sizes are a mismatch") {
  fresh_nccl();
  const auto options = over_nccl(2);
  const auto thrown = testing::run_ranks_collecting(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, options);
        const auto buffer = here.room_for(4000);
        if (communicator.rank() == 0) {
          communicator.send(buffer.view(DType::f32, 100), 1, {.stream = here.stream()});
        } else {
          communicator.recv(buffer.view(DType::f32, 101), 0, {.stream = here.stream()});
        }
      },
      options);
  for (const auto& each : thrown) {
    REQUIRE(each != nullptr);
    REQUIRE(testing::error_of([&] { std::rethrow_exception(each); }).code == ErrorCode::mismatch);
  }
}
