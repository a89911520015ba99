// SPDX-License-Identifier: Apache-2.0
// Engines for device memory end without holding up what else their rank does, and never wait for ever.
#include "engines/device/staging_area.hpp"
#include "support/failures.hpp"
#include "support/forwarding_runtime.hpp"
#include "trireme/transport/doorbell.hpp"
#include "unit/engines_device/device_rank.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

using namespace trireme;
using namespace std::chrono_literals;

namespace {

bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 20000 && !holds(); ++i) std::this_thread::sleep_for(1ms);
  return holds();
}

/// One whose end waits for something that its rank does meanwhile.
class LingeringEngine final : public comm::Engine {
 public:
  explicit LingeringEngine(std::function<void()> end) : end_(std::move(end)) {}
  ~LingeringEngine() override { end_(); }
  std::unique_ptr<comm::EngineState> make_state() override { return std::make_unique<comm::EngineState>(); }
  void start(comm::Operation&) override {}
  comm::Progress poll(comm::Operation&) noexcept override { return comm::Progress::idle; }
  void finish(comm::Operation&) noexcept override {}
  void waiting_for(const comm::Operation&, std::vector<int>&) const override {}
  comm::Capabilities capabilities() const override { return {.name = "lingering", .device = DeviceKind::cuda}; }
  std::unique_ptr<comm::Engine> split(std::uint32_t, std::vector<int>, int) override { return nullptr; }
  Explanation explain(const comm::Request&) const override { return {}; }

 private:
  std::function<void()> end_;
};

/// One whose device does not let go of what was begun there until it is told to.
class HoldingEngine final : public comm::Engine {
 public:
  struct Told {
    std::atomic<bool> started{false}, let_go{false}, finished{false}, finished_early{false};
  };
  explicit HoldingEngine(Told& told) : told_(told) {}
  std::unique_ptr<comm::EngineState> make_state() override { return std::make_unique<comm::EngineState>(); }
  void start(comm::Operation&) override { told_.started = true; }
  comm::Progress poll(comm::Operation&) noexcept override { return comm::Progress::idle; }
  bool has_let_go(comm::Operation&) noexcept override { return told_.let_go; }
  void finish(comm::Operation&) noexcept override {
    told_.finished = true;
    if (!told_.let_go) told_.finished_early = true;
  }
  void waiting_for(const comm::Operation&, std::vector<int>&) const override {}
  comm::Capabilities capabilities() const override { return {.name = "holding", .device = DeviceKind::cuda}; }
  std::unique_ptr<comm::Engine> split(std::uint32_t, std::vector<int>, int) override { return nullptr; }
  Explanation explain(const comm::Request&) const override { return {}; }

 private:
  Told& told_;
};

/// Copies between host and device never end while it hangs.
class HangingRuntime final : public testing::ForwardingRuntime {
 public:
  HangingRuntime() : ForwardingRuntime(device::emulated_runtime()) {}
  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
    ForwardingRuntime::call(&HangingRuntime::stand, this, stream);
    ForwardingRuntime::copy(to, from, bytes, stream);
  }
  std::atomic<bool> hangs{true};

 private:
  static void stand(void* runtime) noexcept {
    static_cast<void>(soon([&] { return !static_cast<HangingRuntime*>(runtime)->hangs; }));
  }
};

}  // namespace

TEST_CASE("while a communicator's device engine ends, the rank's other communicators go on") {
  std::atomic<bool> ends{false}, went_on{false}, heard{false};
  testing::RunRanksOptions options;
  options.devices.runtime = device::emulated_runtime();
  options.devices.make_engine = [&](comm::DeviceRoom room) {
    const bool is_part = room.parent != nullptr;
    return std::make_unique<LingeringEngine>([&, is_part] {
      if (!is_part) return;
      ends = true;
      heard = soon([&] { return went_on.load(); });
    });
  };
  testing::run_ranks(
      1,
      [&](World& world) {
        auto communicator = world.communicator();
        auto part = communicator.split(0);
        std::thread other([&] {
          if (!soon([&] { return ends.load(); })) return;
          int one = 1;
          communicator.all_reduce(std::span<int>(&one, 1));
          went_on = true;
        });
        part.reset();
        other.join();
      },
      options);
  REQUIRE(ends);
  REQUIRE(heard);
}

TEST_CASE("in a failed world memory is given back when the device has let go of it, and nobody else waits for that") {
  HoldingEngine::Told told;
  testing::RunRanksOptions options;
  options.world.progress_thread = GENERATE(false, true);
  options.devices.runtime = device::emulated_runtime();
  options.devices.make_engine = [&](const comm::DeviceRoom&) { return std::make_unique<HoldingEngine>(told); };
  std::atomic<bool> beside{false}, ended_before{true};
  const auto thrown = testing::run_ranks_collecting(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        auto part = communicator.split(0);
        if (world.rank() == 1) {
          static_cast<void>(soon([&] { return told.started && beside; }));
          fail(ErrorCode::system, "rank 1 has had enough");
        }
        const testing::DeviceRank rank(world);
        const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(100, 1.0f), rank.index);
        std::thread other([&] {
          beside = true;
          const Error heard = testing::error_of([&] { part->barrier(); });
          ended_before = heard.peer_rank != 1 || told.finished;
          told.let_go = true;
        });
        const Error heard = testing::error_of([&] {
          communicator.all_reduce(data.view(DType::f32, 100), data.view(DType::f32, 100), sum,
                                  {.stream = rank.stream.get()});
        });
        other.join();
        throw Exception(heard);
      },
      options);
  for (const auto& each : thrown) CHECK(each != nullptr);
  CHECK_FALSE(ended_before);
  CHECK(told.finished);
  CHECK_FALSE(told.finished_early);
}

TEST_CASE("a staging area is given back when its copies have ended, and left behind while the device hangs in one") {
  const auto runtime = std::make_shared<HangingRuntime>();
  auto arena = std::make_shared<transport::Arena>(Bytes{1u << 20});
  const auto doorbell = std::make_shared<transport::Doorbell>();
  const transport::Endpoint endpoint(0, 1, doorbell, {});
  std::vector<std::byte> from(64), to(64);
  const auto end_of_one = [&](std::chrono::milliseconds patience) {
    auto area = engines::device::make_staging_area(runtime, 0, arena, endpoint, patience);
    static_cast<void>(area->memory.acquire(4096));
    runtime->copy(to.data(), from.data(), to.size(), area->in.get());
    return area.get();
  };
  runtime->hangs = false;
  end_of_one(20s);
  REQUIRE(runtime.use_count() == 1);

  runtime->hangs = true;
  auto* const left = end_of_one(20ms);
  REQUIRE(runtime.use_count() > 1);
  REQUIRE(arena.use_count() > 1);
  runtime->hangs = false;
  delete left;
  REQUIRE(runtime.use_count() == 1);
}
