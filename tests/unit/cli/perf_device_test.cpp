// SPDX-License-Identifier: Apache-2.0
// `trireme perf --device`: the same promises on device memory, on emulated devices and on the machine's GPUs where there are some.
#include "cli/perf/device_bench.hpp"
#include "cli/perf/memory.hpp"
#include "cli/perf/options.hpp"
#include "cli/perf/table.hpp"
#include "engines/device/engine.hpp"
#include "engines_nccl/nccl_world.hpp"
#include "support/device_under_test.hpp"
#include "support/forwarding_runtime.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <mutex>
#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;

namespace {

PerfOptions on_emulated(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--device", "emulated"});
  const auto options = parse_perf_options(arguments);
  REQUIRE(options);
  return *options;
}

testing::RunRanksOptions with_devices(std::shared_ptr<device::Runtime> runtime, bool peer = true) {
  testing::RunRanksOptions options;
  options.devices.runtime = std::move(runtime);
  options.devices.make_engine = engines::device::factory({.peer = peer});
  return options;
}

/// Devices whose memory gets something else in its first byte than the host gives.
class SpoiledInputs final : public testing::ForwardingRuntime {
 public:
  SpoiledInputs() : ForwardingRuntime(device::emulated_runtime()) {}
  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
    ForwardingRuntime::copy(to, from, bytes, stream);
    if (owner(to) && !owner(from)) fill(to, std::byte{0x11}, 1, stream);
  }
};

/// The row of rank 0, with what is wrong on any.
PerfRow row_of(int ranks, const PerfOptions& options, std::size_t count, const testing::RunRanksOptions& where) {
  PerfRow found;
  testing::run_ranks(
      ranks,
      [&](World& world) {
        DeviceBench bench(world, options, {count});
        const PerfRow row = bench.measure(count);
        if (world.rank() == 0) found = row;
      },
      where);
  return found;
}

}  // namespace

TEST_CASE("Every operation on device memory is measured and verified, in place and not, beside a copy there") {
  const int ranks = GENERATE(1, 2, 4);
  struct Case {
    std::string name;
    PerfOptions options;
    PerfRow row{};
  };
  std::vector<Case> cases;
  for (const PerfOperation& operation : perf_operations()) {
    for (const std::string place : {"", "--in-place", "--out-of-place"}) {
      if (operation.start == nullptr || (operation.apart && place == "--in-place")) continue;
      if (operation.place == PerfPlace::in_place && place == "--out-of-place") continue;
      std::vector<std::string> arguments{std::string(operation.name), "--iterations", "1", "--warmup", "1"};
      if (operation.rooted) arguments.insert(arguments.end(), {"--root", std::to_string(ranks - 1)});
      if (!place.empty()) arguments.push_back(place);
      cases.push_back({arguments.front() + " " + place, on_emulated(arguments)});
    }
  }
  for (const auto& runtime : testing::runtimes_under_test(1)) {
    testing::run_ranks(
        ranks,
        [&](World& world) {
          for (Case& each : cases) {
            DeviceBench bench(world, each.options, {700});
            const PerfRow row = bench.measure(700);
            if (world.rank() == 0) each.row = row;
          }
        },
        with_devices(runtime));
    for (const auto& [name, options, row] : cases) {
      CAPTURE(name, ranks, runtime->name());
      CHECK(row.wrong == 0);
      CHECK(row.bytes == options.operation->blocks(ranks) * 2800);
      CHECK(row.batch == 8);
      CHECK(row.iterations == 8);  // whole batches
      CHECK(row.time_us > 0);
      CHECK(row.p99_us >= row.time_us);
      CHECK(row.bound_us.value() > 0);
    }
  }
}

TEST_CASE("Warm calls on device memory share an input that is written once, and their results are right") {
  const std::string operation = GENERATE("all_reduce", "all_gather", "broadcast");
  const PerfOptions options = on_emulated({operation, "--iterations", "9", "--warmup", "1", "--warm"});
  const PerfRow row = row_of(2, options, 700, with_devices(device::emulated_runtime(), false));
  CHECK(row.wrong == 0);
  CHECK(row.batch == (operation == "broadcast" ? 1 : 8));  // what replaces its input has but one buffer then
}

TEST_CASE("Floats of 16 and 8 bits on device memory are verified in every order, by kernels and by way of the host") {
  const bool peer = GENERATE(true, false);
  std::vector<PerfOptions> all;
  for (const char* dtype : {"f16", "bf16", "f8e4m3", "f8e5m2"}) {
    for (const char* order : {"canonical", "fastest"})
      all.push_back(
          on_emulated({"all_reduce", "--iterations", "1", "--warmup", "1", "--dtype", dtype, "--order", order}));
  }
  std::vector<std::uint64_t> wrong(2, 0);
  testing::run_ranks(
      2,
      [&](World& world) {
        for (const PerfOptions& options : all) {
          DeviceBench bench(world, options, {5000});
          wrong[static_cast<std::size_t>(world.rank())] += bench.measure(5000).wrong;
        }
      },
      with_devices(device::emulated_runtime(), peer));
  CHECK(wrong == std::vector<std::uint64_t>{0, 0});
}

TEST_CASE("What comes out wrong on a device is counted") {
  const PerfOptions options = on_emulated({"all_reduce", "--iterations", "1", "--warmup", "1"});
  CHECK(row_of(2, options, 700, with_devices(std::make_shared<SpoiledInputs>())).wrong ==
        2 * 16);  // of each result one
}

TEST_CASE("The engine that a row names is the one that has served the device") {
  std::string engine, algorithm;
  const PerfOptions options = on_emulated({"all_reduce"}), gather = on_emulated({"all_gather"});
  testing::run_ranks(
      2,
      [&](World& world) {
        const DeviceBench bench(world, options, {10}), other(world, gather, {10});
        if (world.rank() != 0) return;
        engine = bench.explain(10).engine + " " + other.explain(10).engine;
        algorithm = bench.explain(10).algorithm + " " + other.explain(10).algorithm;
      },
      with_devices(device::emulated_runtime()));
  CHECK(engine == "device device");
  CHECK(algorithm == "peer_one_shot ");
}

TEST_CASE("NCCL is measured in its own place and verified, in place and not, in every order and in floats of 8 bits") {
  testing::fresh_nccl();
  const std::vector<std::vector<std::string>> all{{"all_reduce"},
                                                  {"all_reduce", "--out-of-place", "--order", "fastest"},
                                                  {"all_reduce", "--dtype", "f8e4m3"},
                                                  {"reduce_scatter", "--in-place", "--dtype", "bf16"},
                                                  {"all_gather", "--in-place", "--dtype", "f16"},
                                                  {"all_to_all"},
                                                  {"gather", "--in-place"},
                                                  {"send_recv"}};
  std::vector<PerfOptions> options;
  for (auto words : all) {
    words.insert(words.end(), {"--iterations", "1", "--warmup", "1"});
    options.push_back(on_emulated(words));
  }
  std::vector<std::string> found(2);
  testing::run_ranks(
      2,
      [&](World& world) {
        std::string& mine = found[static_cast<std::size_t>(world.rank())];
        for (const PerfOptions& each : options) {
          DeviceBench bench(world, each, {700});
          if (const PerfRow row = bench.measure(700); row.wrong != 0 || row.batch != 8)
            mine += std::string(each.operation->name) + " ";
          if (bench.explain(700).engine != "nccl") mine += "engine ";
        }
        DeviceBench native(world, options[1], {700});
        mine += native.explain(700).algorithm;
      },
      testing::over_nccl(2));
  CHECK(found == std::vector<std::string>{"nccl_native", "nccl_native"});
}

TEST_CASE("A copy reads and writes together what input and output of an operation have") {
  const auto bytes = [](const char* operation, int ranks) {
    return DeviceCopy::bytes(*find_perf_operation(operation), ranks, 100);
  };
  CHECK(bytes("all_reduce", 4) == 100);
  CHECK(bytes("reduce_scatter", 4) == 250);
  CHECK(bytes("all_gather", 4) == 250);
  CHECK(bytes("broadcast", 4) == 50);  // each rank reads or writes
  CHECK(bytes("all_to_all", 4) == 400);
  CHECK(bytes("send_recv", 4) == 100);
}

TEST_CASE("Vectors that no device has room for are refused by the name of the flag, on all ranks alike") {
  std::vector<std::string> said(2);
  testing::run_ranks(
      2,
      [&](World& world) {
        require_device_memory(world, Bytes{std::uint64_t{1} << 20});
        try {
          require_device_memory(world, Bytes{std::uint64_t{8} << 30});
        } catch (const Exception& refusal) {
          said[static_cast<std::size_t>(world.rank())] = refusal.error().message;
        }
      },
      with_devices(device::emulated_runtime()));
  CHECK_THAT(said[0], Contains("--max-bytes is too large") && Contains("8192 MiB"));
  CHECK(said[0] == said[1]);
}

TEST_CASE("The rows of device memory say so, and which device, engine and batch they are of") {
  const PerfOptions options = on_emulated({"all_gather", "--in-place"});
  const PerfEnvironment environment{.ranks = 2,
                                    .transport = "shm",
                                    .engine = "nccl",
                                    .bound = BoundKind::device_copy,
                                    .device = "cuda:0 (NVIDIA H200)",
                                    .host_engine = "host"};
  const auto json = nlohmann::json::parse(perf_json(options, environment, {PerfRow{.batch = 8, .bound_us = 2.0}}));
  CHECK(json["environment"]["device"] == "cuda:0 (NVIDIA H200)");
  CHECK(json["environment"]["host_engine"] == "host");
  CHECK(json["environment"]["in_place"] == true);
  CHECK_THAT(json["environment"]["bound"].get<std::string>(), Contains("a copy within the device's memory"));
  CHECK(json["rows"][0]["memory"] == "device");
  CHECK(json["rows"][0]["engine"] == "nccl");
  CHECK(json["rows"][0]["batch"] == 8);
  CHECK(json["rows"][0]["bound_us"] == 2.0);
  CHECK_THAT(perf_heading(options, environment), Contains("engine nccl") && Contains("memory device") &&
                                                     Contains("cuda:0 (NVIDIA H200)") && Contains("in place"));
}

TEST_CASE("--engine says who serves device memory as the world's options do") {
  const auto chosen = [](const char* engine) {
    const PerfOptions options = on_emulated({"all_reduce", "--engine", engine});
    return options.engine.value_or("-") + " " + options.device_engine.value_or("-");
  };
  CHECK(chosen("auto") == "auto auto");
  CHECK(chosen("device") == "- device");
  CHECK(chosen("host") == "host device");
  CHECK(chosen("mpi") == "mpi device");
  CHECK_FALSE(on_emulated({"all_reduce"}).device_engine.has_value());
  const auto nccl = parse_perf_options({"all_reduce", "--engine", "nccl"});
  CHECK(nccl->device == ComputeDevice::cuda);  // there is no other memory it serves
  CHECK(nccl->device_engine == "nccl");
  CHECK_FALSE(nccl->engine.has_value());
}
