// SPDX-License-Identifier: Apache-2.0
// Every operation on device memory: the bits of the same call on host memory.
#include "unit/engines_device/operations.hpp"

#include "support/stride.hpp"
#include "unit/engines_device/device_rank.hpp"

#include <catch2/catch.hpp>

#include <stdexcept>

using namespace trireme;
using testing::device_operations;
using testing::DeviceOperation;
using testing::DeviceRank;
using testing::on_devices;
using testing::plain_values;
using testing::run_ranks;

namespace {

const auto every_dtype =
    testing::thinned({DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2, DType::i64,
                      DType::i32, DType::i8, DType::u64, DType::u32, DType::u8, DType::boolean},
                     {DType::i32, DType::f32, DType::bf16, DType::f8e4m3, DType::boolean});

bool is_defined(const DeviceOperation& operation, DType dtype) {
  if (operation.floating && !is_floating(dtype)) return false;
  return !operation.reduces || dtype != DType::boolean;
}

/// Calls it on host memory and again on device memory (of ranks that have some), and compares all bytes of the outputs.
void check_same(World& world, Communicator& communicator, const DeviceOperation& operation, DType dtype,
                const DeviceRank* rank) {
  const DType wide = operation.wide_input ? accumulator_of(dtype) : dtype;
  const bool in_place = operation.out == 0;
  const auto given = plain_values(operation.in, wide, world.rank());
  const auto before = in_place ? given : std::vector<std::byte>(operation.out * size_of(dtype), std::byte{0x5a});
  const std::size_t out_count = in_place ? operation.in : operation.out;

  auto host_in = given, host_out = before;
  operation.call(communicator, ConstTensorView(host_in.data(), operation.in, wide),
                 TensorView(host_out.data(), out_count, dtype), {.label = operation.name});
  if (rank == nullptr) {
    auto out = before;
    operation.call(communicator, ConstTensorView(host_in.data(), operation.in, wide),
                   TensorView(out.data(), out_count, dtype), {.label = operation.name});
    if (out != host_out) throw std::logic_error(operation.name + " beside devices, " + std::string(name_of(dtype)));
    return;
  }
  const auto in = rank->put(given), out = rank->put(before);
  operation.call(communicator, in.view(wide, operation.in), out.view(dtype, out_count),
                 {.stream = rank->stream.get(), .label = operation.name});
  if (rank->get(out) != host_out)
    throw std::logic_error(operation.name + " of " + std::string(name_of(dtype)) + ": other bits");
  if (!in_place && rank->get(in) != given) throw std::logic_error(operation.name + ": the input has changed");
}

void check_all(World& world, std::span<const DType> dtypes, std::span<const std::size_t> counts) {
  auto communicator = world.communicator();
  std::optional<DeviceRank> rank;
  if (world.device()) rank.emplace(world);
  for (const std::size_t count : counts) {
    for (const auto& operation : device_operations(world.size(), count)) {
      for (const DType dtype : dtypes) {
        if (is_defined(operation, dtype)) check_same(world, communicator, operation, dtype, rank ? &*rank : nullptr);
      }
    }
  }
}

}  // namespace

TEST_CASE("every operation of every type on device memory gives the bits it gives on host memory") {
  const auto [ranks, devices] = GENERATE(table<int, int>({{1, 1}, {2, 2}, {3, 1}, {4, 2}}));
  std::span<const DType> dtypes = every_dtype;
  for (const auto& runtime : testing::runtimes_under_test(devices)) {
    CAPTURE(ranks, devices, runtime->name());
    run_ranks(
        ranks, [&](World& world) { check_all(world, dtypes, std::array{std::size_t{101}}); }, on_devices(runtime));
    dtypes = dtypes.subspan(
        1, testing::is_thin ? 1 : 3);  // in another order of events the types make no difference any more
  }
}

TEST_CASE("so do operations on nothing, on one element and on many") {
  const int ranks = GENERATE(1, 3);
  for (const auto& runtime : testing::runtimes_under_test()) {
    CAPTURE(ranks, runtime->name());
    run_ranks(
        ranks,
        [&](World& world) {
          check_all(world, testing::thinned({DType::f32, DType::bf16}, {DType::bf16}),
                    std::array<std::size_t, 3>{0, 1, 30003});
        },
        on_devices(runtime));
  }
}

TEST_CASE("so do operations over every transport") {
  const auto transport = GENERATE(as<std::string>{}, "shm", "tcp");
  for (const auto& runtime : testing::runtimes_under_test()) {
    CAPTURE(transport, runtime->name());
    run_ranks(
        3,
        [&](World& world) {
          check_all(world, std::array{DType::f32}, testing::thinned<std::size_t>({17, 40000}, {40000}));
        },
        on_devices(runtime, transport));
  }
}

TEST_CASE("ranks without a device take part with host memory in the operations of those that have one") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "tcp");
  const int with_devices = GENERATE(1, 2, 3);
  auto options =
      on_devices(device::emulated_runtime({.devices = 2, .delay = std::chrono::microseconds(20)}), transport);
  options.ranks_with_devices = with_devices;
  run_ranks(
      3,
      [&](World& world) {
        if (world.device().has_value() != (world.rank() < with_devices)) throw std::logic_error("device()");
        if ((world.device_runtime() != nullptr) != world.device().has_value())
          throw std::logic_error("device_runtime()");
        check_all(world, testing::thinned({DType::f32, DType::f16, DType::i32}, {DType::f32, DType::i32}),
                  testing::thinned<std::size_t>({1, 5000}, {5000}));
      },
      options);
}

TEST_CASE("a rank with a device may give host memory where others give device memory") {
  run_ranks(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const DeviceRank rank(world);
        std::vector<float> host(1000, 1.0f + static_cast<float>(world.rank()));
        const auto device = testing::on_device<float>(rank.runtime, host, rank.index);
        for (int round = 0; round < 30; ++round) {
          const bool on_host = (round + world.rank()) % 3 == 0;
          const TensorView data = on_host ? TensorView(std::span(host)) : device.view(DType::f32, 1000);
          communicator.all_reduce(data, data, maximum, {.stream = on_host ? Stream{} : rank.stream.get()});
          communicator.barrier();
        }
        const auto found = testing::to_host<float>(*rank.runtime, device.data(), 1000, rank.stream.get());
        if (found != std::vector<float>(1000, 3.0f)) throw std::logic_error("device memory");
        if (host != found) throw std::logic_error("host memory");
      },
      on_devices(device::emulated_runtime({.devices = 2, .delay = std::chrono::microseconds(50)})));
}

TEST_CASE("communicators that are split serve device memory as well, and each keeps its own order") {
  run_ranks(
      4,
      [&](World& world) {
        auto all = world.communicator();
        const DeviceRank rank(world);
        auto half = all.split(world.rank() % 2).value();
        auto alone = all.split(world.rank()).value();
        for (int round = 0; round < 10; ++round) {
          const std::vector<float> ones(513, 1.0f);
          const auto a = testing::on_device<float>(rank.runtime, ones, rank.index);
          const auto b = testing::on_device<float>(rank.runtime, ones, rank.index);
          const auto c = testing::on_device<float>(rank.runtime, ones, rank.index);
          const auto reduce = [&](Communicator& communicator, const device::Buffer& buffer) {
            const TensorView data = buffer.view(DType::f32, 513);
            return communicator.all_reduce_async(data, data, sum, {.stream = rank.stream.get()});
          };
          Work first = reduce(half, b), second = reduce(all, a), third = reduce(alone, c);
          third.wait();
          second.wait();
          first.wait();
          const auto sums = [&](const device::Buffer& buffer) {
            return testing::to_host<float>(*rank.runtime, buffer.data(), 513, rank.stream.get());
          };
          if (sums(a) != std::vector<float>(513, 4.0f)) throw std::logic_error("all");
          if (sums(b) != std::vector<float>(513, 2.0f)) throw std::logic_error("half");
          if (sums(c) != ones) throw std::logic_error("alone");
        }
      },
      on_devices(device::emulated_runtime({.devices = 2, .delay = std::chrono::microseconds(50)})));
}
