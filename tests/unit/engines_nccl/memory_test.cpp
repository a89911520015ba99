// SPDX-License-Identifier: Apache-2.0
// Memory that NCCL knows beforehand: how it is made known and forgotten, and that training lies in it.
#include "engines_nccl/nccl_world.hpp"
#include "support/failures.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::literals;
using namespace std::chrono_literals;
using testing::error_of;
using testing::fresh_nccl;
using testing::has;
using testing::OnDevice;
using testing::over_nccl;
using testing::run_ranks;
using testing::soon;

namespace {

/// An all_reduce of ones in `memory`: how many bytes are not the number of ranks.
int wrong_in(Communicator communicator, const DeviceMemory& memory, const OnDevice& here) {
  here.runtime().fill(memory.data(), std::byte{1}, memory.size_bytes(), here.stream());
  const auto view = memory.view(DType::u8, memory.size_bytes());
  communicator.all_reduce(view, view, sum, {.stream = here.stream()});
  std::vector<std::byte> found(memory.size_bytes());
  here.runtime().copy(found.data(), memory.data(), found.size(), here.stream());
  here.runtime().synchronize(here.stream());
  int wrong = 0;
  for (const std::byte each : found) wrong += each != static_cast<std::byte>(communicator.size());
  return wrong;
}

bool forgotten(const testing::FakeNccl& fake) {
  return soon(
      [&] { return fake.communicators == 0 && fake.memories == 0 && fake.windows == 0 && fake.registered == 0; });
}

/// What training of a few tensors in device memory ends with on every rank.
std::vector<std::string> trained(int ranks, const testing::RunRanksOptions& options, const DataParallelOptions& how) {
  std::vector<std::string> results(static_cast<std::size_t>(ranks));
  run_ranks(
      ranks,
      [&](World& world) {
        const OnDevice here(world, options);
        const std::array<std::size_t, 3> counts{300, 41, 2500};
        std::vector<device::Buffer> memory;
        std::vector<Parameter> parameters;
        for (const std::size_t count : counts) {
          memory.push_back(here.up(testing::elements(DType::f32, count, 3)));
          memory.push_back(here.room_for(count * sizeof(float)));
          parameters.push_back({"p" + std::to_string(parameters.size()),
                                {static_cast<std::int64_t>(count)},
                                memory[memory.size() - 2].view(DType::f32, count),
                                memory.back().view(DType::f32, count)});
        }
        DataParallelOptions settings = how;
        settings.bucket_bytes = 1_KiB;
        settings.stream = here.stream();
        DataParallel data_parallel(world.communicator(), parameters, settings);
        Sgd sgd({.learning_rate = 0.05});
        sgd.use_device(options.devices.runtime, here.stream());
        std::uint64_t leaf = static_cast<std::uint64_t>(world.rank() * how.logical_shards / ranks);
        int done = 0;
        for (auto& step : data_parallel.steps()) {  // three; then none has anything to add
          for (auto& shard : step.shards()) {
            shard.weight(done < 3 ? 1.0 + static_cast<double>(leaf % 3) : 0.0);
            for (std::size_t p = counts.size(); p-- > 0;) {
              const auto gradient = testing::elements(DType::f32, counts[p], ++leaf);
              const auto to = data_parallel.parameters()[p].gradient;
              here.runtime().copy(to.data, gradient.data(), gradient.size(), here.stream());
              here.runtime().synchronize(here.stream());
              shard.ready(p);
            }
          }
          ++done;
          if (step.reduce() == StepOutcome::ready) step.apply(sgd);
        }
        std::string& result = results[static_cast<std::size_t>(world.rank())];
        for (std::size_t p = 0; p < counts.size(); ++p) {
          const auto bytes = here.down(memory[2 * p]);
          result.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        }
      },
      options);
  return results;
}

}  // namespace

TEST_CASE("memory is known as symmetric, for one rank, or not at all, as this NCCL can, and forgotten with its owner") {
  const std::array<std::pair<const char*, std::string>, 3> versions{
      {{FAKE_NCCL, "symmetric"}, {FAKE_NCCL_MIDDLE, "registered"}, {FAKE_NCCL_OLD, "plain"}}};
  for (const auto& [path, how] : versions) {
    CAPTURE(path);
    auto& fake = fresh_nccl(path);
    const auto options = over_nccl(2, path);
    std::atomic<int> wrong{0};
    run_ranks(
        2,
        [&, &how = how](World& world) {
          auto communicator = world.communicator();
          const OnDevice here(world, options);
          DeviceMemory memory = communicator.device_memory(40000_B);
          wrong += memory.known_as() != "plain";
          wrong += wrong_in(communicator, memory, here);
          communicator.register_memory(memory);
          wrong += memory.known_as() != how;
          wrong += wrong_in(communicator, memory, here);
          memory.unregister();
          wrong += memory.known_as() != "plain";
          wrong += wrong_in(communicator, memory, here);
          communicator.register_memory(memory);
          communicator.register_memory(memory);  // anew
          wrong += memory.known_as() != how;
        },
        options);
    REQUIRE(wrong == 0);
    REQUIRE(fake.registrations == (how == "plain" ? 0 : 2 * 3));
    REQUIRE(fake.deregistrations == fake.registrations);
    REQUIRE((fake.known > 0) == (how != "plain"));
    REQUIRE(forgotten(fake));
  }
}

TEST_CASE("memory may end before or after its communicator and its world") {
  auto& fake = fresh_nccl();
  const auto options = over_nccl(2);
  std::array<DeviceMemory, 2> survivors;
  std::atomic<int> wrong{0};
  run_ranks(
      2,
      [&](World& world) {
        const OnDevice here(world, options);
        DeviceMemory memory;
        {
          auto part = world.communicator().split(0);
          memory = part->device_memory(9000_B);
          part->register_memory(memory);
          wrong += wrong_in(*part, memory, here);
        }
        wrong += memory.known_as() != "symmetric";  // by what is left of that communicator
        auto other = world.communicator().split(0);
        other->register_memory(memory);  // which then ends
        wrong += wrong_in(*other, memory, here);
        wrong += wrong_in(world.communicator(), memory, here);
        DeviceMemory second = other->device_memory(10_B);
        other->register_memory(second);
        survivors[static_cast<std::size_t>(world.rank())] = std::move(memory);
      },
      options);
  REQUIRE(wrong == 0);
  REQUIRE(fake.windows == 2);
  for (auto& each : survivors) each = DeviceMemory();
  REQUIRE(forgotten(fake));
  REQUIRE(fake.aborted == 0);
}

TEST_CASE("sizes that differ, and operations under way, are refused on all ranks alike, and nothing is registered") {
  auto& fake = fresh_nccl();
  const auto options = over_nccl(2);
  std::atomic<int> mismatched{0}, busy{0}, wrong{0};
  run_ranks(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, options);
        DeviceMemory memory = communicator.device_memory(Bytes{world.rank() == 0 ? 4000u : 8000u});
        mismatched += has(error_of([&] { communicator.register_memory(memory); }).message,
                          "rank 0 passes 4000 bytes, rank 1 8000");
        memory = communicator.device_memory(4000_B);
        std::optional<Work> work;
        if (world.rank() == 1)
          work = communicator.send_async(memory.view(DType::u8, 4000), 0, {.stream = here.stream()});
        busy += has(error_of([&] { communicator.register_memory(memory); }).message, "rank 1 has operations");
        if (world.rank() == 0) communicator.recv(memory.view(DType::u8, 4000), 1, {.stream = here.stream()});
        if (work) work->wait();
        wrong += wrong_in(communicator, memory, here);
      },
      options);
  REQUIRE(mismatched == 2);
  REQUIRE(busy == 2);
  REQUIRE(wrong == 0);
  REQUIRE(fake.registrations == 0);
  REQUIRE(forgotten(fake));
}

TEST_CASE("worlds without a device have no device memory, and engines that know none beforehand give plain one") {
  run_ranks(2, [](World& world) {
    REQUIRE(error_of([&] { static_cast<void>(world.communicator().device_memory(1_B)); }).code ==
            ErrorCode::unsupported);
  });
}

TEST_CASE("the memory of a failed world stays until NCCL has let go of it, whoever frees it when") {
  auto& fake = fresh_nccl();
  const auto library = engines::nccl::load(FAKE_NCCL);
  const auto options = over_nccl(2, engines::nccl::factory(library, {.abort_patience = 20ms}));
  const auto thrown = testing::run_ranks_collecting(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, options);
        DeviceMemory memory = communicator.device_memory(40000_B);
        communicator.register_memory(memory);
        communicator.barrier();
        if (world.rank() == 0) {
          fake.forget();
          fake.abort_blocks = true;
          fake.hang_rank = 1;
        }
        communicator.barrier();
        const auto view = memory.view(DType::f32, 10000);
        communicator.all_reduce(view, view, sum, {.deadline = 200ms, .stream = here.stream()});
      },
      options);
  for (const auto& each : thrown) REQUIRE(each != nullptr);
  REQUIRE(fake.memories == 2);  // their owners are gone
  fake.abort_blocks = false;
  REQUIRE(forgotten(fake));
}

TEST_CASE(
    "while NCCL deregisters memory its rank goes on, but for that communicator's own operations, which come behind it") {
  const std::string path = GENERATE(FAKE_NCCL, FAKE_NCCL_MIDDLE);  // a window, or of one rank
  auto& fake = fresh_nccl(path.c_str());
  const auto options = over_nccl(2, path.c_str());
  std::atomic<int> wrong{0}, forgotten_too_soon{0}, given_too_soon{0};
  run_ranks(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        auto other = communicator.split(0);
        const OnDevice here(world, options);
        DeviceMemory memory = communicator.device_memory(40000_B), second = communicator.device_memory(400_B);
        communicator.register_memory(memory);
        communicator.barrier();
        if (world.rank() == 0) fake.deregister_blocks = true;
        communicator.barrier();
        std::atomic<bool> forgotten{false};
        std::thread forgets([&] {
          memory.unregister();
          forgotten = true;
        });
        wrong += !soon([&] { return fake.deregistering == 2; });
        other->barrier({.deadline = 60s});
        const int before = fake.calls[static_cast<std::size_t>(world.rank())];
        here.runtime().fill(second.data(), std::byte{1}, 400, here.stream());
        Work work = communicator.all_reduce_async(second.view(DType::u8, 400), second.view(DType::u8, 400), sum,
                                                  {.deadline = 60s, .stream = here.stream()});
        for (int k = 0; k < 100; ++k) communicator.progress();
        given_too_soon += work.done() || fake.calls[static_cast<std::size_t>(world.rank())] != before;
        other->barrier({.deadline = 60s});
        forgotten_too_soon += forgotten;
        other->barrier({.deadline = 60s});  // all have looked
        if (world.rank() == 0) fake.deregister_blocks = false;
        work.wait();
        std::vector<std::byte> found(400);
        here.runtime().copy(found.data(), second.data(), found.size(), here.stream());
        here.runtime().synchronize(here.stream());
        for (const std::byte each : found) wrong += each != std::byte{2};
        forgets.join();
        wrong += memory.known_as() != "plain";
      },
      options);
  REQUIRE(wrong == 0);
  REQUIRE(given_too_soon == 0);
  REQUIRE(forgotten_too_soon == 0);
  REQUIRE(fake.misused == 0);
  REQUIRE(forgotten(fake));
}

TEST_CASE("a world that fails while NCCL deregisters memory ends its communicators behind that") {
  auto& fake = fresh_nccl();
  const auto library = engines::nccl::load(FAKE_NCCL);
  const auto options = over_nccl(2, engines::nccl::factory(library, {.abort_patience = 20ms}));
  std::array<DeviceMemory, 2> memories;  // rank 1's stays registered
  std::atomic<int> wrong{0};
  const auto thrown = testing::run_ranks_collecting(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        DeviceMemory& memory = memories[static_cast<std::size_t>(world.rank())];
        memory = communicator.device_memory(40000_B);
        communicator.register_memory(memory);
        communicator.barrier();
        if (world.rank() == 1) {
          wrong += !soon([&] { return fake.deregistering == 1; });
          fail(ErrorCode::system, "rank 1 has had enough");
        }
        fake.deregister_blocks = true;
        std::thread forgets([&] { memory.unregister(); });
        const Error heard = error_of([&] { communicator.barrier(); });
        wrong += heard.peer_rank != 1;
        wrong += !soon([&] { return library->ending() != 0; });
        std::this_thread::sleep_for(50ms);  // in which whoever does not wait ends it under that call
        fake.deregister_blocks = false;
        forgets.join();
        throw Exception(heard);
      },
      options);
  for (const auto& each : thrown) REQUIRE(each != nullptr);
  REQUIRE(wrong == 0);
  for (auto& each : memories) each = DeviceMemory();
  REQUIRE(forgotten(fake));
  REQUIRE(soon([&] { return library->ending() == 0 && fake.communicators == 0; }));
  REQUIRE(fake.misused == 0);
}

TEST_CASE("training reduces in registered memory with the same bits, where all ranks fold alike") {
  struct Way {
    int ranks, leaves;
    bool views;
    int registered;  // buffers of each rank
  };
  const Way way = GENERATE(Way{2, 2, false, 1}, Way{2, 4, false, 1}, Way{2, 2, true, 1}, Way{2, 4, true, 1},
                           Way{3, 4, true, 0}, Way{3, 4, false, 0}, Way{1, 1, true, 1});
  const DataParallelOptions how{.logical_shards = way.leaves, .gradients_as_bucket_views = way.views};
  std::string expected;
  for (const char* path : {FAKE_NCCL_OLD, FAKE_NCCL_MIDDLE, FAKE_NCCL}) {
    CAPTURE(path, way.ranks, way.leaves, way.views);
    auto& fake = fresh_nccl(path);
    for (const std::string& each : trained(way.ranks, over_nccl(way.ranks, path), how)) {
      if (expected.empty()) expected = each;
      REQUIRE((each == expected));
    }
    const bool can = path != std::string(FAKE_NCCL_OLD);
    REQUIRE(fake.registrations == (can ? way.ranks * way.registered : 0));
    REQUIRE(fake.deregistrations == fake.registrations);
    REQUIRE((fake.known > 0) == (can && way.registered > 0 && way.ranks > 1));
    REQUIRE(forgotten(fake));
  }
}

TEST_CASE("gradients stay where they are when training goes on with another communicator, which then knows them") {
  auto& fake = fresh_nccl();
  const auto options = over_nccl(2);
  std::atomic<int> wrong{0}, first{0}, second{0};
  run_ranks(
      2,
      [&](World& world) {
        const OnDevice here(world, options);
        const auto value = here.room_for(4000), gradient = here.room_for(4000);
        here.runtime().fill(value.data(), std::byte{0}, 4000, here.stream());
        std::vector<Parameter> parameters{{"p", {1000}, value.view(DType::f32, 1000), gradient.view(DType::f32, 1000)}};
        DataParallel data_parallel(world.communicator(), parameters,
                                   {.logical_shards = 2, .gradients_as_bucket_views = true, .stream = here.stream()});
        const void* before = data_parallel.parameters()[0].gradient.data;
        world.communicator().barrier();
        if (world.rank() == 0) first = fake.windows.load();
        world.communicator().barrier();
        data_parallel.rebind(world.communicator());
        wrong += data_parallel.parameters()[0].gradient.data != before;
        world.communicator().barrier();
        if (world.rank() == 0) second = fake.windows.load();
        world.communicator().barrier();
      },
      options);
  REQUIRE(wrong == 0);
  REQUIRE(first == 2);
  REQUIRE(second == 2);
  REQUIRE(fake.registrations == 4);
  REQUIRE(forgotten(fake));
}
