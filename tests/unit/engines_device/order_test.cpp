// SPDX-License-Identifier: Apache-2.0
// What runs before and behind an operation: streams, other operations, the host.
#include "support/failures.hpp"
#include "support/forwarding_runtime.hpp"
#include "unit/engines_device/device_rank.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>

using namespace trireme;
using namespace std::chrono_literals;
using testing::DeviceRank;
using testing::on_devices;
using testing::run_ranks;

namespace {

/// Keeps a stream busy, as a kernel does.
void keep_busy(device::Runtime& runtime, Stream stream, const std::chrono::milliseconds& time) {
  runtime.call([](void* time) noexcept { std::this_thread::sleep_for(*static_cast<std::chrono::milliseconds*>(time)); },
               const_cast<std::chrono::milliseconds*>(&time), stream);
}

/// Stops a stream until it is opened.
class Gate {
 public:
  Gate(device::Runtime& runtime, Stream stream) {
    runtime.call(
        [](void* pointer) noexcept {
          const std::unique_ptr<std::shared_ptr<Open>> open(static_cast<std::shared_ptr<Open>*>(pointer));
          (*open)->wait(false);
        },
        new std::shared_ptr<Open>(open_), stream);
  }
  ~Gate() { open(); }
  void open() const {
    *open_ = true;
    open_->notify_all();
  }

 private:
  using Open = std::atomic<bool>;
  std::shared_ptr<Open> open_ = std::make_shared<Open>(false);
};

/// Counts what is pinned, and what is copied from devices.
class CountingRuntime final : public testing::ForwardingRuntime {
 public:
  using ForwardingRuntime::ForwardingRuntime;
  void pin(void* memory, std::size_t bytes) override {
    ++pinned;
    ForwardingRuntime::pin(memory, bytes);
  }
  void unpin(void* memory) noexcept override {
    ++unpinned;
    ForwardingRuntime::unpin(memory);
  }
  void* allocate_pinned(std::size_t bytes) override {
    ++pinned;
    return ForwardingRuntime::allocate_pinned(bytes);
  }
  std::atomic<int> pinned{0};
  std::atomic<int> unpinned{0};
};

constexpr std::chrono::milliseconds a_while{20};

}  // namespace

TEST_CASE(
    "an operation reads what its stream was given before, and who waits on it reads its result, without the host") {
  const auto runtime = device::emulated_runtime({.devices = 2, .delay = 100us});
  run_ranks(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        const device::OwnedStream consumer(rank.runtime, rank.index);
        constexpr std::size_t count = 3000;
        const std::vector<float> mine(count, 1.0f + static_cast<float>(world.rank()));
        const auto produced = testing::on_device<float>(rank.runtime, mine, rank.index);
        const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(count, -9.0f), rank.index);
        const auto consumed = testing::on_device<float>(rank.runtime, std::vector<float>(count, -1.0f), rank.index);
        const TensorView view = data.view(DType::f32, count);
        const Stream stream = rank.stream.get();
        float factor = 1.0f;
        for (int step = 0; step < 5; ++step) {
          if (step % 2 == 0) keep_busy(*rank.runtime, stream, a_while);
          rank.runtime->copy(data.data(), produced.data(), view.size_bytes(), stream);
          Work work = communicator.all_reduce_async(view, view, sum, {.stream = stream});
          work.wait_on(consumer.get());
          rank.runtime->copy(consumed.data(), data.data(), view.size_bytes(), consumer.get());
          // What the consumer read must not be overwritten before it has.
          device::OwnedEvent read(rank.runtime, rank.index);
          read.record(consumer.get());
          read.hold(stream);
          rank.runtime->fill(data.data(), std::byte{0xff}, view.size_bytes(), stream);
          const auto found = testing::to_host<float>(*rank.runtime, consumed.data(), count, consumer.get());
          if (found != std::vector<float>(count, 6.0f * factor)) throw std::logic_error("what the consumer read");
          work.wait();
        }
        rank.stream.synchronize();  // before the buffers go
      },
      on_devices(runtime));
}

TEST_CASE("issuing on a busy stream does not wait for it") {
  const auto runtime = device::emulated_runtime();
  run_ranks(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(100, 1.0f));
        const auto more = testing::on_device<float>(rank.runtime, std::vector<float>(100, 2.0f));
        const Gate gate(*rank.runtime, rank.stream.get());
        const TensorView view = data.view(DType::f32, 100), other = more.view(DType::f32, 100);
        Work first = communicator.all_reduce_async(view, view, sum, {.stream = rank.stream.get()});
        Work second = communicator.all_reduce_async(other, other, sum, {.stream = rank.stream.get()});
        if (first.done() || second.done()) throw std::logic_error("done before its stream");
        if (communicator.explain(100, DType::f32, {.stream = rank.stream.get()}).text.find("pinned") ==
            std::string::npos)
          throw std::logic_error("explain");
        // On the same communicator, the host's operations come behind.
        float value = 1.0f;
        Work third = communicator.all_reduce_async(std::span(&value, 1));
        if (third.done()) throw std::logic_error("overtook those before it");
        gate.open();
        third.wait();
        if (value != 2.0f) throw std::logic_error("the sum on the host");
        second.wait();
        first.wait();
        const auto found = testing::to_host<float>(*rank.runtime, data.data(), 100, rank.stream.get());
        if (found != std::vector<float>(100, 2.0f)) throw std::logic_error("the first sum");
        if (testing::to_host<float>(*rank.runtime, more.data(), 100, rank.stream.get()) !=
            std::vector<float>(100, 4.0f))
          throw std::logic_error("the second sum");
        if (communicator.flight_recorder_json().find("\"memory\": \"device\"") == std::string::npos)
          throw std::logic_error("the recorder");
      },
      on_devices(runtime));
}

TEST_CASE("operations of streams that are ready in another order on every rank still meet their own") {
  const auto runtime = device::emulated_runtime({.devices = 2, .seed = 3, .delay = 200us});
  run_ranks(
      4,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        constexpr std::size_t streams = 4;
        std::vector<device::OwnedStream> own;
        std::vector<device::Buffer> buffers;
        std::vector<float> on_host(streams, 0.0f);
        for (std::size_t s = 0; s < streams; ++s) {
          own.emplace_back(rank.runtime, rank.index);
          buffers.push_back(
              testing::on_device<float>(rank.runtime, std::vector<float>(257, static_cast<float>(s + 1)), rank.index));
        }
        std::vector<Work> works;
        for (std::size_t s = 0; s < streams; ++s) {
          if ((s + static_cast<std::size_t>(world.rank())) % 3 == 0) keep_busy(*rank.runtime, own[s].get(), a_while);
          const TensorView view = buffers[s].view(DType::f32, 257);
          works.push_back(communicator.all_reduce_async(view, view, sum, {.stream = own[s].get()}));
          on_host[s] = static_cast<float>(s + 1);
          works.push_back(communicator.all_reduce_async(std::span(&on_host[s], 1)));
        }
        for (auto& work : works) work.wait();
        for (std::size_t s = 0; s < streams; ++s) {
          const auto wanted = 4.0f * static_cast<float>(s + 1);
          const auto found = testing::to_host<float>(*rank.runtime, buffers[s].data(), 257, own[s].get());
          if (found != std::vector<float>(257, wanted) || on_host[s] != wanted) throw std::logic_error("another's sum");
        }
      },
      on_devices(runtime));
}

TEST_CASE("from the 2nd operation of a shape on nothing is pinned, and at the end all of it is let go") {
  const auto runtime = std::make_shared<CountingRuntime>(device::emulated_runtime({.devices = 2}));
  run_ranks(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        const auto half = communicator.split(0).value();
        for (const std::size_t count : {std::size_t{1}, std::size_t{2000}, std::size_t{70000}}) {
          const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(count, 1.0f), rank.index);
          const TensorView view = data.view(DType::f32, count);
          const auto call = [&](Communicator& on) {
            on.all_reduce(view, view, average, {.stream = rank.stream.get()});
            on.broadcast(view, 0);
          };
          call(communicator);
          communicator.barrier();
          const int before = runtime->pinned;
          communicator.barrier();
          auto other = half;
          for (int i = 0; i < 20; ++i) call(i % 2 == 0 ? communicator : other);
          communicator.barrier();
          if (runtime->pinned != before) throw std::logic_error("something was pinned");
          communicator.barrier();
        }
      },
      on_devices(runtime));
  CHECK(runtime->pinned > 0);
  CHECK(runtime->pinned == runtime->unpinned);
}

TEST_CASE("an operation through the host cannot be captured in a graph, and says so") {
  run_ranks(
      1,
      [](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(4, 1.0f));
        const TensorView view = data.view(DType::f32, 4);
        rank.runtime->begin_capture(rank.stream.get());
        const auto error =
            testing::error_of([&] { communicator.all_reduce(view, view, sum, {.stream = rank.stream.get()}); });
        rank.runtime->destroy_graph(rank.runtime->end_capture(rank.stream.get()));
        if (error.code != ErrorCode::unsupported || error.message.find("captured") == std::string::npos)
          throw std::logic_error(error.message);
        communicator.all_reduce(view, view, sum, {.stream = rank.stream.get()});  // the communicator has not suffered
      },
      on_devices(device::emulated_runtime()));
}
