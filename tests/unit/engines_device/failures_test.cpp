// SPDX-License-Identifier: Apache-2.0
// What goes wrong on devices ends in one named error on every rank, and lets go of everything.
#include "support/failures.hpp"

#include "comm/message_space.hpp"
#include "comm/operation.hpp"
#include "support/forwarding_runtime.hpp"
#include "unit/engines_device/device_rank.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <exception>
#include <latch>
#include <stdexcept>
#include <thread>

using namespace trireme;
using namespace std::chrono_literals;
using testing::DeviceRank;
using testing::has;
using testing::on_devices;
using testing::run_ranks_collecting;

namespace {

/// Refuses copies on one device from the `allowed`-th on.
class RefusingRuntime final : public testing::ForwardingRuntime {
 public:
  RefusingRuntime(std::shared_ptr<device::Runtime> real, int device)
      : ForwardingRuntime(std::move(real)), device_(device) {}
  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
    if (stream.device.index == device_ && allowed.fetch_sub(1) <= 0)
      fail(ErrorCode::device, "copy: an illegal memory access was encountered, on device " + std::to_string(device_));
    ForwardingRuntime::copy(to, from, bytes, stream);
  }
  std::atomic<int> allowed{1000000};

 private:
  const int device_;
};

std::vector<Error> errors_of(const std::vector<std::exception_ptr>& thrown) {
  std::vector<Error> errors;
  for (const auto& each : thrown) {
    try {
      errors.emplace_back();
      if (each) std::rethrow_exception(each);
    } catch (const Exception& exception) {
      errors.back() = exception.error();
    } catch (const std::exception& exception) {
      errors.back().message = exception.what();
    }
  }
  return errors;
}

/// One that serves device memory alone: it tells the next rank what it was asked for, and moves nothing.
class AloofEngine final : public comm::Engine {
 public:
  explicit AloofEngine(comm::EngineRoom room) : room_(std::move(room)) {}
  std::unique_ptr<comm::EngineState> make_state() override { return std::make_unique<comm::EngineState>(); }
  void start(comm::Operation& operation) override {
    const auto next = static_cast<std::size_t>(room_.rank + 1) % room_.members.size();
    room_.endpoint.send_note(room_.members[next], comm::signature_note,
                             {comm::collective_space(room_.id), 0, operation.sequence}, operation.stamp);
  }
  comm::Progress poll(comm::Operation&) noexcept override { return comm::Progress::idle; }
  void finish(comm::Operation&) noexcept override {}
  void waiting_for(const comm::Operation&, std::vector<int>&) const override {}
  comm::Capabilities capabilities() const override { return {.name = "aloof", .device = DeviceKind::cuda}; }
  std::unique_ptr<comm::Engine> split(std::uint32_t, std::vector<int>, int) override { return nullptr; }
  Explanation explain(const comm::Request&) const override { return {}; }

 private:
  comm::EngineRoom room_;
};

struct Busy {
  std::chrono::milliseconds time;
  static void work(void* busy) noexcept { std::this_thread::sleep_for(static_cast<Busy*>(busy)->time); }
};

void wait_for(void* latch) noexcept { static_cast<std::latch*>(latch)->wait(); }

}  // namespace

TEST_CASE("a copy that a device refuses names the call, the rank and the device, on every rank") {
  const int allowed = GENERATE(0, 1, 2, 3);  // of the input or of the output, of the first operation or the second
  const bool asynchronous = allowed % 2 == 1;
  const auto runtime = std::make_shared<RefusingRuntime>(device::emulated_runtime({.devices = 2}), 1);
  const auto errors = errors_of(run_ranks_collecting(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(1000, 1.0f), rank.index);
        const TensorView view = data.view(DType::f32, 1000);
        communicator.barrier();
        if (world.rank() == 1) runtime->allowed = allowed;
        const Stream stream = asynchronous ? rank.stream.get() : Stream{};
        communicator.all_reduce(view, view, sum, {.stream = stream, .label = "first"});
        communicator.all_reduce(view, view, sum, {.stream = stream, .label = "second"});
        communicator.barrier();
      },
      on_devices(runtime)));
  for (const Error& error : errors) {
    CAPTURE(allowed, asynchronous, error.message);
    CHECK(error.code == ErrorCode::device);
    CHECK(has(error.message, "copy: an illegal memory access"));
    CHECK(has(error.message, "rank 1"));
    CHECK(has(error.message, "cuda:1"));
    CHECK(has(error.message, allowed < 2 ? "'first'" : "'second'"));
    CHECK(error.peer_rank == 1);
  }
}

TEST_CASE("ranks that call different operations on device memory are told of both") {
  const auto errors = errors_of(run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(1000, 1.0f));
        const TensorView view = data.view(DType::f32, world.rank() == 2 ? 999 : 1000);
        communicator.all_reduce(view, view, sum, {.stream = rank.stream.get()});
      },
      on_devices(device::emulated_runtime({.delay = 100us}))));
  for (const Error& error : errors) {
    CAPTURE(error.message);
    CHECK(error.code == ErrorCode::mismatch);
    CHECK(has(error.message, "count 1000"));
    CHECK(has(error.message, "count 999"));
  }
}

TEST_CASE("where an engine serves device memory alone, a rank with host memory is a mismatch that says so") {
  auto options = on_devices(device::emulated_runtime());
  options.devices.make_engine = [](comm::DeviceRoom room) { return std::make_unique<AloofEngine>(room.room); };
  options.world.timeout = 20s;
  const auto errors = errors_of(run_ranks_collecting(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        std::vector<float> host(10, 1.0f);
        const auto device = testing::on_device<float>(rank.runtime, host);
        const TensorView view = world.rank() == 0 ? device.view(DType::f32, 10) : TensorView(std::span(host));
        communicator.all_reduce(view, view);
      },
      options));
  for (const Error& error : errors) {
    CAPTURE(error.message);
    CHECK(error.code == ErrorCode::mismatch);
    CHECK(has(error.message, "device memory"));
  }
}

TEST_CASE("buffers and streams in the wrong place are refused before anything moves") {
  const auto errors = errors_of(run_ranks_collecting(
      1,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        std::vector<float> host(10, 1.0f);
        const auto here = testing::on_device<float>(rank.runtime, host, 0);
        const auto there = testing::on_device<float>(rank.runtime, host, 1);
        const device::OwnedStream stream_there(rank.runtime, 1);
        const TensorView view = here.view(DType::f32, 10), other = there.view(DType::f32, 10);
        const auto refused = [](const auto& call, const char* what) {
          const auto error = testing::error_of(call);
          if (error.code != ErrorCode::invalid_argument || !has(error.message, what))
            throw std::logic_error(std::string(what) + " in " + error.message);
        };
        refused([&] { communicator.all_reduce(view, other); }, "output is on cuda:1");
        refused([&] { communicator.all_reduce(TensorView(std::span(host)), view); }, "input is host memory");
        refused([&] { communicator.all_reduce(view, view, sum, {.stream = stream_there.get()}); },
                "the stream is on cuda:1");
        refused([&] { communicator.all_reduce_group(std::array{TensorView(std::span(host)), view}); }, "of the group");
        refused([&] { communicator.all_reduce_group(std::array{view, TensorView(std::span(host))}); }, "of the group");
        communicator.all_reduce(view, view);
      },
      on_devices(device::emulated_runtime({.devices = 2}))));
  CHECK(errors[0].message == "");
}

TEST_CASE("a rank that never calls is named at the deadline of those that do") {
  auto options = on_devices(device::emulated_runtime());
  options.world.timeout = 1s;
  std::atomic<int> failed{0};
  const auto errors = errors_of(run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(1000, 1.0f));
        const TensorView view = data.view(DType::f32, 1000);
        if (world.rank() == 1) {
          failed.wait(0);  // computes
          failed.wait(1);
        } else {
          const auto error = testing::error_of(
              [&] { communicator.all_reduce(view, view, sum, {.stream = rank.stream.get(), .label = "loss"}); });
          ++failed;
          failed.notify_all();
          throw Exception(error);
        }
      },
      options));
  for (const int r : {0, 2}) {
    const Error& error = errors[static_cast<std::size_t>(r)];
    CAPTURE(error.message);
    CHECK(error.code == ErrorCode::timeout);
    CHECK(error.peer_rank == 1);
    CHECK(has(error.message, "'loss'"));
  }
}

TEST_CASE("the time of an operation begins when its stream has come to it: what ran before is not held against it") {
  auto options = on_devices(device::emulated_runtime(), "mem", GENERATE(false, true));
  options.world.timeout = 1s;
  const auto errors = errors_of(run_ranks_collecting(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(1000, 1.0f));
        const TensorView view = data.view(DType::f32, 1000);
        Busy busy{1500ms};
        rank.runtime->call(&Busy::work, &busy, rank.stream.get());
        communicator.all_reduce(view, view, sum, {.stream = rank.stream.get()});
      },
      options));
  for (const Error& error : errors) CHECK(error.message == "");
}

TEST_CASE("a rank whose stream does not come to the operation is the one that the others wait for") {
  auto options = on_devices(device::emulated_runtime(), "mem", GENERATE(false, true));
  options.world.timeout = 2s;
  std::latch others_failed(2);
  const auto errors = errors_of(run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(1000, 1.0f));
        const TensorView view = data.view(DType::f32, 1000);
        if (world.rank() == 1) rank.runtime->call(&wait_for, &others_failed, rank.stream.get());
        const auto error =
            testing::error_of([&] { communicator.all_reduce(view, view, sum, {.stream = rank.stream.get()}); });
        if (world.rank() != 1) others_failed.count_down();
        rank.stream.synchronize();
        throw Exception(error);
      },
      options));
  for (const Error& error : errors) {
    CAPTURE(error.message);
    CHECK(error.code == ErrorCode::timeout);
    CHECK(error.peer_rank == 1);
  }
}

TEST_CASE("when a rank is gone the others' operations end, at every moment, and their buffers are theirs again") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "tcp");
  const auto delay = GENERATE(0us, 300us);
  const auto runtime = device::emulated_runtime({.devices = 2, .delay = delay});
  const auto errors = errors_of(run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        std::vector<device::Buffer> buffers;
        std::vector<Work> works;  // end before the buffers go
        for (int i = 0; i < 6; ++i) {
          buffers.push_back(testing::on_device<float>(rank.runtime, std::vector<float>(50000, 1.0f), rank.index));
          if (world.rank() == 2 && i == 3) throw std::runtime_error("this rank has had enough");
          const TensorView view = buffers.back().view(DType::f32, 50000);
          works.push_back(communicator.all_reduce_async(view, view, sum, {.stream = rank.stream.get()}));
        }
        for (auto& work : works) work.wait();
      },
      on_devices(runtime, transport)));
  for (const int r : {0, 1}) {
    const Error& error = errors[static_cast<std::size_t>(r)];
    CAPTURE(error.message);
    CHECK((error.code == ErrorCode::peer_lost || error.code == ErrorCode::closed));
    CHECK(error.peer_rank == 2);
  }
}
