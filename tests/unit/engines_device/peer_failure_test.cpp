// SPDX-License-Identifier: Apache-2.0
#include "device/kernel.hpp"
#include "support/device_under_test.hpp"
#include "support/failures.hpp"
#include "support/forwarding_runtime.hpp"
#include "unit/engines_device/peer_world.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

namespace trireme {
namespace {

using testing::error_of;
using testing::has;
using testing::OnDevice;
using testing::peer_world;
using testing::run_ranks_collecting;
using testing::small_slots;

/// Rank 0's all_reduce has ended: whoever holds up the others may go on.
std::atomic<bool> failed{false};

void wait_for_failure() noexcept {
  for (int k = 0; k < 6000 && !failed.load(); ++k) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

/// What each rank's all_reduce ends with when `instead` is what rank 2 does; all then check that their device is free.
std::vector<Error> ends_of(const std::shared_ptr<device::Runtime>& runtime, int ranks,
                           const std::function<void(Communicator&, const OnDevice&)>& instead,
                           std::chrono::milliseconds deadline) {
  std::vector<Error> ends(static_cast<std::size_t>(ranks));
  failed.store(false);
  const auto thrown = run_ranks_collecting(
      ranks,
      [&](World& world) {
        auto communicator = world.communicator();
        const int rank = communicator.rank();
        const OnDevice here(runtime, rank);
        const auto a = here.copy_of(std::vector<float>(9000, 1.0f));
        Error& end = ends[static_cast<std::size_t>(rank)];
        communicator.all_reduce(a.view(DType::f32, 9000), a.view(DType::f32, 9000), sum);  // all is well
        end = error_of([&] {
          if (rank == 2) return instead(communicator, here);
          communicator.all_reduce(a.view(DType::f32, 9000), a.view(DType::f32, 9000), sum,
                                  {.deadline = deadline, .label = "gradients"});
        });
        if (rank == 0) failed.store(true);
        if (rank == 2 && !end) end = error_of([&] { communicator.barrier(); });
        // The engine's kernels have left: its memory is as it was, and the device takes work.
        const auto values = here.back<float>(a, 9000);
        if (rank != 2 && values != std::vector<float>(9000, static_cast<float>(ranks)))
          fail(ErrorCode::corrupt, "a failed operation has written");
      },
      peer_world(runtime, small_slots));
  for (const auto& each : thrown) {
    if (each) CHECK(error_of([&] { std::rethrow_exception(each); }).code != ErrorCode::corrupt);
  }
  return ends;
}

}  // namespace

TEST_CASE("A rank that never calls is named at the deadline, and the devices of the others are free again") {
  for (const auto& runtime : testing::beside_gpus({device::emulated_runtime({.seed = 3})})) {
    const auto ends = ends_of(
        runtime, 4, [](Communicator&, const OnDevice&) { wait_for_failure(); }, std::chrono::milliseconds(600));
    for (const Error& end : ends) {
      CHECK(end.code == ErrorCode::timeout);
      CHECK(has(end.message, "rank 2"));
      CHECK(end.peer_rank == 2);
    }
  }
}

TEST_CASE("A rank that calls with another count is met at once, on both sides, with both calls") {
  for (const auto& runtime : testing::beside_gpus({device::emulated_runtime({.devices = 2, .seed = 3})})) {
    const auto ends = ends_of(
        runtime, 4,
        [](Communicator& communicator, const OnDevice& here) {
          const auto b = here.bytes(4 * 70000);
          communicator.all_reduce(b.view(DType::f32, 70000), b.view(DType::f32, 70000), sum);
        },
        std::chrono::seconds(60));
    for (const Error& end : ends) {
      CHECK(end.code == ErrorCode::mismatch);
      CHECK(has(end.message, "count 9000"));
      CHECK(has(end.message, "count 70000"));
    }
  }
}

TEST_CASE("A rank that calls another collective, of device or host memory, is met at once") {
  const bool on_host = GENERATE(false, true);
  const auto runtime = device::emulated_runtime({.devices = 1, .seed = 3});
  const auto ends = ends_of(
      runtime, 3,
      [&](Communicator& communicator, const OnDevice& here) {
        std::vector<float> data(9000);
        const auto b = here.bytes(4 * 9000);
        communicator.broadcast(on_host ? TensorView(std::span<float>(data)) : b.view(DType::f32, 9000), 2);
      },
      std::chrono::seconds(60));
  for (const Error& end : ends) {
    CHECK(end.code == ErrorCode::mismatch);
    CHECK(has(end.message, "all_reduce"));
    CHECK(has(end.message, "broadcast"));
  }
}

TEST_CASE("A rank that captures what the others run at once is met at once, on every rank") {
  const auto runtime = device::emulated_runtime({.devices = 1, .seed = 3});
  const auto ends = ends_of(
      runtime, 4,
      [&](Communicator& communicator, const OnDevice& here) {
        const auto b = here.bytes(4 * 9000);
        runtime->begin_capture(here.stream());
        communicator.all_reduce(b.view(DType::f32, 9000), b.view(DType::f32, 9000), sum, {.stream = here.stream()});
        runtime->destroy_graph(runtime->end_capture(here.stream()));
      },
      std::chrono::seconds(60));
  for (const Error& end : ends) {
    CHECK(end.code == ErrorCode::mismatch);
    CHECK(has(end.message, "rank 2 called all_reduce(count 9000"));
    CHECK(has(end.message, "captured in a graph"));
  }
}

TEST_CASE("A rank whose stream does not come to the operation is named itself") {
  const auto runtime = device::emulated_runtime({.seed = 3});
  const auto ends = ends_of(
      runtime, 3,
      [&](Communicator& communicator, const OnDevice& here) {
        const auto b = here.bytes(4 * 9000);
        runtime->call([](void*) noexcept { wait_for_failure(); }, nullptr, here.stream());
        communicator.all_reduce(b.view(DType::f32, 9000), b.view(DType::f32, 9000), sum, {.stream = here.stream()});
      },
      std::chrono::milliseconds(600));
  for (const Error& end : ends) {
    CHECK(end.code == ErrorCode::timeout);
    CHECK(end.peer_rank == 2);
  }
}

TEST_CASE("Settings of the peer engine that cannot be are refused") {
  const auto runtime = device::emulated_runtime({});
  for (const engines::device::PeerOptions options :
       {engines::device::PeerOptions{.slot_bytes = 4096}, engines::device::PeerOptions{.slot_bytes = 65537},
        engines::device::PeerOptions{.blocks = 4000}}) {
    const auto thrown = run_ranks_collecting(
        2, [](World&) {}, peer_world(runtime, options));
    for (const auto& each : thrown) {
      REQUIRE(each);
      CHECK(error_of([&] { std::rethrow_exception(each); }).code == ErrorCode::invalid_argument);
    }
  }
}

TEST_CASE("A program that waits for its stream alone is released when another rank leaves") {
  const auto runtime = device::emulated_runtime({.devices = 2, .seed = 3});
  std::atomic<int> released{0};
  const auto thrown = run_ranks_collecting(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(runtime, communicator.rank());
        const auto a = here.copy_of(std::vector<float>(9000, 1.0f));
        communicator.barrier();
        if (communicator.rank() == 1) fail(ErrorCode::system, "rank 1 has had enough");
        auto work = communicator.all_reduce_async(a.view(DType::f32, 9000), a.view(DType::f32, 9000), sum,
                                                  {.deadline = std::chrono::hours(1), .stream = here.stream()});
        work.wait_on(here.stream());
        here.owned_stream().synchronize();  // no call of ours
        ++released;
        work.wait();
      },
      peer_world(runtime, small_slots));
  CHECK(released == 1);
  REQUIRE(thrown[0]);
  CHECK(error_of([&] { std::rethrow_exception(thrown[0]); }).peer_rank == 1);
}

namespace {

/// Refuses kernels that wait for others on device 1 from the `allowed`-th on, and counts those that are under way there.
class LaunchRefusingRuntime final : public testing::ForwardingRuntime {
 public:
  LaunchRefusingRuntime() : ForwardingRuntime(device::emulated_runtime({.devices = 2, .seed = 3})) {}
  void launch(const device::Launch& launch, Stream stream) override {
    const bool counts = launch.kernel->waits && stream.device.index == 1;
    if (counts && allowed.fetch_sub(1) <= 0) fail(ErrorCode::device, "launch: too many resources requested");
    ForwardingRuntime::launch(launch, stream);
    if (!counts) return;
    ++under_way;
    call([](void* one) noexcept { --static_cast<LaunchRefusingRuntime*>(one)->under_way; }, this, stream);
  }
  std::atomic<int> allowed{1000000};
  std::atomic<int> under_way{0};
};

}  // namespace

TEST_CASE("Where a launch is refused half way the caller gets its memory back when what was launched has left") {
  const auto runtime = std::make_shared<LaunchRefusingRuntime>();
  std::atomic<bool> refused{false};
  std::atomic<int> left_under_way{-1};
  const auto thrown = run_ranks_collecting(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(runtime, communicator.rank());
        const auto a = here.copy_of(std::vector<float>(90000, 1.0f));
        const TensorView view = a.view(DType::f32, 90000);  // of many rounds
        communicator.barrier();
        if (communicator.rank() == 0) {  // so that rank 1's first round waits
          for (int k = 0; k < 6000 && !refused; ++k) std::this_thread::sleep_for(std::chrono::milliseconds(1));
          return communicator.all_reduce(view, view, sum, {.label = "gradients"});
        }
        runtime->allowed = 2;
        try {
          communicator.all_reduce(view, view, sum, {.label = "gradients"});
        } catch (const Exception&) {
          left_under_way = runtime->under_way.load();
          refused = true;
          throw;
        }
      },
      peer_world(runtime, small_slots));
  CHECK(left_under_way == 0);
  for (const auto& each : thrown) {
    REQUIRE(each);
    const Error error = error_of([&] { std::rethrow_exception(each); });
    CAPTURE(to_string(error));
    CHECK(error.code == ErrorCode::device);
    CHECK(error.peer_rank == 1);
    CHECK(has(error.message, "launch: too many resources requested"));
    CHECK(has(error.message, "'gradients'"));
  }
}

TEST_CASE(
    "A rank that leaves while the ranks of its process find each other's windows is missed, not looked for in freed memory") {
  const auto runtime = device::emulated_runtime({.devices = 2, .seed = 3});
  constexpr int offers = 2;  // which exchange tells of the windows
  std::atomic<bool> has_left{false};
  auto options = peer_world(runtime, small_slots);
  options.devices.make_engine = [&](comm::DeviceRoom room) -> std::unique_ptr<comm::Engine> {
    int exchanges = 0;
    const int rank = room.room.rank;
    const auto exchange = room.exchange;
    room.exchange = [&, exchange](std::span<const std::byte> mine) {
      ++exchanges;
      if (rank == 1 && exchanges > offers) fail(ErrorCode::system, "rank 1 has had enough");
      auto all = exchange(mine);
      for (int k = 0; rank == 0 && exchanges == offers && k < 6000 && !has_left; ++k)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return all;
    };
    try {
      return engines::device::make_peer_engine(room, small_slots);
    } catch (...) {
      if (rank == 1) has_left = true;
      throw;
    }
  };
  const auto thrown = run_ranks_collecting(
      2, [](World&) {}, options);
  REQUIRE(thrown[1]);
  CHECK(error_of([&] { std::rethrow_exception(thrown[1]); }).code == ErrorCode::system);
  REQUIRE(thrown[0]);
}

}  // namespace trireme
