// SPDX-License-Identifier: Apache-2.0
// Programs that wait for the device alone are released when the world fails, and what cannot be released is known.
#include "engines_nccl/nccl_world.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <string>

using namespace trireme;
using namespace std::chrono_literals;
using testing::fresh_nccl;
using testing::has;
using testing::OnDevice;
using testing::over_nccl;
using testing::soon;

namespace {

struct Hanging {
  explicit Hanging(const engines::nccl::EngineOptions& engine = {}) : fake(fresh_nccl()) {
    nccl = engines::nccl::load(FAKE_NCCL);
    options = over_nccl(3, engines::nccl::factory(nccl, engine));
  }
  /// From here on rank 1's next call never ends.
  void hang(Communicator communicator) {
    communicator.barrier();
    if (communicator.rank() == 0) {
      fake.forget();
      fake.hang_rank = 1;
    }
    communicator.barrier();
  }
  testing::FakeNccl& fake;
  std::shared_ptr<engines::nccl::Library> nccl;
  testing::RunRanksOptions options;
};

}  // namespace

TEST_CASE("a program that waits for its stream alone is released when the world fails") {
  Hanging hanging;
  std::atomic<int> released{0}, told{0};
  const auto thrown = testing::run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, hanging.options);
        const auto buffer = here.room_for(40000);
        const auto view = buffer.view(DType::f32, 10000);
        hanging.hang(communicator);
        auto work = communicator.all_reduce_async(
            view, view, sum, {.deadline = 300ms, .order = ReductionOrder::fastest, .stream = here.stream()});
        if (communicator.rank() != 0) {
          work.wait_on(here.stream());
          here.runtime().synchronize(here.stream());  // no call of ours
          ++released;
        }
        try {
          work.wait();
        } catch (const Exception& exception) {
          told += exception.error().code == ErrorCode::timeout;
          throw;
        }
      },
      hanging.options);
  REQUIRE(released == 2);
  REQUIRE(told == 3);
  REQUIRE(hanging.fake.aborted == 6);
  REQUIRE(soon([&] { return hanging.fake.communicators == 0 && hanging.nccl->ending() == 0; }));
}

TEST_CASE("where all wait for their streams alone, the thread that drives finds the deadline") {
  Hanging hanging;
  hanging.options.world.progress_thread = true;  // as worlds over NCCL have
  std::atomic<int> released{0};
  const auto thrown = testing::run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, hanging.options);
        const auto buffer = here.room_for(40000);
        const auto view = buffer.view(DType::f32, 10000);
        hanging.hang(communicator);
        auto work = communicator.all_reduce_async(
            view, view, sum, {.deadline = 300ms, .order = ReductionOrder::fastest, .stream = here.stream()});
        work.wait_on(here.stream());
        here.runtime().synchronize(here.stream());
        ++released;
        work.wait();
      },
      hanging.options);
  for (const auto& each : thrown) REQUIRE(each != nullptr);
  REQUIRE(released == 3);
}

TEST_CASE("an abort from the watcher waits for nothing, and whoever gives an operation up waits for its end") {
  Hanging hanging({.abort_patience = 50ms});
  std::array<std::atomic<bool>, 3> hung{};
  testing::run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, hanging.options);
        auto buffer = here.room_for(40000);
        const auto view = buffer.view(DType::f32, 10000);
        hanging.hang(communicator);
        if (communicator.rank() == 0) hanging.fake.abort_blocks = true;
        if (world.device_hangs()) throw std::runtime_error("not yet");
        try {
          communicator.all_reduce(view, view, sum, {.deadline = 200ms, .stream = here.stream()});
        } catch (const Exception&) {
          hung[static_cast<std::size_t>(communicator.rank())] = world.device_hangs();
        }
        // The memory and the stream are the device's until it lets go.
        static_cast<void>(soon([&] { return hung[0] && hung[1] && hung[2]; }));
        if (communicator.rank() == 0) hanging.fake.abort_blocks = false;
        static_cast<void>(soon([&] { return !world.device_hangs(); }));
      },
      hanging.options);
  for (const auto& each : hung) REQUIRE(each);
  REQUIRE(soon([&] { return hanging.fake.communicators == 0 && hanging.nccl->ending() == 0; }));
}
