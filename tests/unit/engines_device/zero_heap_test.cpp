// SPDX-License-Identifier: Apache-2.0
// From the 2nd operation of a shape on: no heap call and no mutex in the staged engine, whatever the runtime does.
#include "trireme/device/runtime.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/comm/forbidden_calls.hpp"
#include "unit/engines_device/operations.hpp"

#include <catch2/catch.hpp>

#include <barrier>
#include <cstring>
#include <memory>
#include <vector>

using namespace trireme;

namespace {

/// A device that does everything at once, on the thread that asks: it calls no heap, so what is counted is the engine's.
class ImmediateRuntime final : public device::Runtime {
 public:
  std::string_view name() const noexcept override { return "immediate"; }
  device::Versions versions() const override { return {}; }
  int devices() const noexcept override { return 1; }
  device::Properties properties(int) const override { return {.name = "immediate", .uuid = "immediate-0", .bus = {}}; }
  bool reaches(int, int) const override { return true; }
  void reach(int, int) override {}
  void* allocate(int, std::size_t bytes) override { return ::operator new(bytes); }
  void free(int, void* memory) noexcept override { ::operator delete(memory); }
  void* allocate_pinned(std::size_t bytes) override { return ::operator new(bytes); }
  void free_pinned(void* memory) noexcept override { ::operator delete(memory); }
  void pin(void*, std::size_t) override {}
  void unpin(void*) noexcept override {}
  std::optional<Device> owner(const void*) const override { return std::nullopt; }
  device::SharedAllocation share(int, void*, std::size_t) override { return {}; }
  void* import(int, const device::SharedAllocation&) override { return nullptr; }
  void forget(int, void*) noexcept override {}
  Stream make_stream(int device) override { return {{DeviceKind::cuda, device}, this}; }
  void destroy(Stream) noexcept override {}
  void synchronize(Stream) override {}
  void copy(void* to, const void* from, std::size_t bytes, Stream) override { std::memcpy(to, from, bytes); }
  void fill(void* memory, std::byte value, std::size_t bytes, Stream) override {
    std::memset(memory, static_cast<int>(value), bytes);
  }
  void launch(const device::Launch&, Stream) override {}
  void call(void (*)(void*) noexcept, void*, Stream) override {}  // wakes nobody: nobody sleeps
  void* make_event(int) override { return this; }
  void destroy_event(int, void*) noexcept override {}
  void record(void*, Stream) override {}
  bool passed(void*) override { return true; }
  void await(void*) override {}
  void wait(Stream, void*) override {}
  void begin_capture(Stream) override {}
  void* end_capture(Stream) override { return nullptr; }
  bool capturing(Stream) override { return false; }
  void launch_graph(void*, Stream) override {}
  void destroy_graph(void*) noexcept override {}
  void load(std::span<const device::KernelEntry* const>) override {}
};

}  // namespace

TEST_CASE("from the 2nd operation of a shape on the staged engine makes no heap call and takes no mutex") {
  constexpr int ranks = 2;
  const std::size_t count = GENERATE(std::size_t{0}, std::size_t{100}, std::size_t{50000});
  const bool with_stream = GENERATE(false, true);
  testing::RunRanksOptions options;
  options.devices.runtime = std::make_shared<ImmediateRuntime>();
  std::barrier together(ranks);
  std::vector<testing::DeviceOperation> operations;
  for (const auto& each : testing::device_operations(ranks, count)) {
    const bool makes_lists =
        each.name.find("uneven") != std::string::npos || each.name.find("group") != std::string::npos;
    if (!makes_lists) operations.push_back(each);  // in the test, that is
  }
  testing::run_ranks(
      ranks,
      [&](World& world) {
        auto communicator = world.communicator();
        const Device device = *world.device();
        const Stream stream = with_stream ? options.devices.runtime->make_stream(device.index) : Stream{};
        for (const auto& operation : operations) {
          std::vector<float> in(operation.in, 1.0f), out(std::max(operation.in, operation.out), 1.0f);
          const DType wide = operation.wide_input ? accumulator_of(DType::f32) : DType::f32;
          const ConstTensorView input(in.data(), operation.in, wide, device);
          const TensorView output(out.data(), operation.out == 0 ? operation.in : operation.out, DType::f32, device);
          const CallOptions call{.stream = stream, .label = "a label of more than fifteen characters"};
          for (int i = 0; i < 2; ++i) operation.call(communicator, input, output, call);
          communicator.barrier();
          together.arrive_and_wait();
          if (world.rank() == 0) testing::arm_forbidden_calls();
          together.arrive_and_wait();
          for (int i = 0; i < 50; ++i) operation.call(communicator, input, output, call);
          together.arrive_and_wait();
          if (world.rank() == 0) {
            const auto made = testing::disarm_forbidden_calls();
            INFO(operation.name << " of " << count << ", first from: " << testing::first_forbidden_call());
            CHECK(made.heap == 0);
            CHECK(made.mutex == 0);
          }
          together.arrive_and_wait();
        }
      },
      options);
}
