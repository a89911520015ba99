// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/device_engines.hpp"
#include "cli/doctor/report.hpp"
#include "trireme/device/emulated.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace trireme;
using Catch::Matchers::Contains;

namespace {

cli::CudaDevice device_at(int index, std::string bus, std::vector<int> peers) {
  return {index,
          {.name = "NVIDIA H200",
           .uuid = "GPU-" + std::to_string(index),
           .bus = std::move(bus),
           .memory_bytes = std::size_t{141} << 30,
           .multiprocessors = 132,
           .major = 9,
           .minor = 0},
          std::move(peers)};
}

cli::Report report_on_gpus(std::vector<cli::Gpu> listed, cli::Cuda cuda) {
  cli::Report report;
  report.cluster = platform::detect(platform::Environment{});
  report.machine = {4, 1u << 30};
  report.engines = cli::list_engines("/nonexistent/module.so", "/nonexistent/libnccl.so");
  report.cuda = std::move(cuda);
  report.gpus = cli::with_devices(std::move(listed), report.cuda.devices);
  return report;
}

}  // namespace

TEST_CASE("doctor tells of each device what its runtime says, and whom it reaches") {
  const auto devices = cli::devices_of(*device::emulated_runtime({.devices = 3}));
  REQUIRE(devices.size() == 3);
  CHECK(devices[1].index == 1);
  CHECK(devices[1].properties.uuid == "emulated-1");
  CHECK(devices[1].peers == std::vector<int>{0, 2});
  const auto apart = cli::devices_of(*device::emulated_runtime({.devices = 2, .peer_access = false}));
  CHECK(apart[0].peers.empty());
}

TEST_CASE("doctor lists CUDA's devices in its order, then GPUs that this process does not see") {
  auto report =
      report_on_gpus({{"0000:17:00.0", "NVIDIA H200"}, {"0000:3b:00.0", "NVIDIA H200"}, {"0000:5d:00.0", "A100"}},
                     {"", {13000, 13000}, {device_at(0, "0000:3b:00.0", {1}), device_at(1, "0000:17:00.0", {0})}});
  report.nccl = {22809, ""};
  const auto json = nlohmann::json::parse(to_json(report));
  REQUIRE(json["gpus"].size() == 3);
  CHECK(json["gpus"][0] == nlohmann::json{{"index", 0},
                                          {"name", "NVIDIA H200"},
                                          {"bus", "0000:3b:00.0"},
                                          {"model", "NVIDIA H200"},
                                          {"uuid", "GPU-0"},
                                          {"memory_bytes", std::uint64_t{141} << 30},
                                          {"compute_capability", "9.0"},
                                          {"multiprocessors", 132},
                                          {"peers", {1}}});
  CHECK(json["gpus"][1]["bus"] == "0000:17:00.0");
  CHECK(json["gpus"][2]["model"] == "A100");
  CHECK(json["gpus"][2]["index"].is_null());
  CHECK(json["gpus"][2]["uuid"].is_null());
  CHECK(json["engines"]["cuda"] ==
        nlohmann::json{{"available", true}, {"driver", "13.0"}, {"runtime", "13.0"}, {"devices", 2}});
  CHECK(json["engines"]["nccl"]["version"] == "2.28.9");
  CHECK_THAT(to_text(report),
             Contains("0: NVIDIA H200, 144384 MiB, compute capability 9.0, 0000:3b:00.0, GPU-0, reaches 1") &&
                 Contains("driver 13.0, run-time 13.0") && Contains("2.28.9"));
  CHECK(find_warnings(report, {}).empty());
}

TEST_CASE("doctor says in a line each what GPUs lack") {
  auto report = report_on_gpus({{"0000:17:00.0", "NVIDIA H200"}}, {"the driver is too old", {12040, 13000}, {}});
  auto warnings = find_warnings(report, {});
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Contains("1 GPUs") && Contains("the driver is too old"));
  const auto json = nlohmann::json::parse(to_json(report));
  CHECK(json["engines"]["cuda"] == nlohmann::json{{"available", false},
                                                  {"reason", "the driver is too old"},
                                                  {"driver", "12.4"},
                                                  {"runtime", "13.0"},
                                                  {"devices", 0}});
  CHECK(json["engines"]["nccl"]["version"].is_null());

  report = report_on_gpus({}, {"", {13000, 13000}, {device_at(0, "a", {}), device_at(1, "b", {})}});
  report.nccl = {0, "libnccl.so.2: cannot open shared object file"};
  warnings = find_warnings(report, {});
  REQUIRE(warnings.size() == 2);
  CHECK_THAT(warnings[0], Contains("no NCCL") && Contains("libnccl.so.2"));
  CHECK_THAT(warnings[1], Contains("GPUs 0 and 1 do not reach each other's memory"));
}

TEST_CASE("doctor lists the engines for device memory and cublasLt, with what each lacks") {
  const cli::Cuda none{"no NVIDIA driver", {0, 13000}, {}};
  const auto lacking = cli::list_device_engines(none, "/nonexistent/libcublasLt.so");
  REQUIRE(lacking.size() == 3);
  CHECK(lacking[0].name == "staged");
  CHECK(lacking[1].name == "peer");
  CHECK(lacking[2].name == "cublas_lt");
  for (const auto& each : lacking) CHECK_FALSE(each.available);
  CHECK(lacking[0].reason == "no NVIDIA driver");
  CHECK(lacking[1].reason == "no NVIDIA driver");
  CHECK_THAT(lacking[2].reason, Contains("/nonexistent/libcublasLt.so") && Contains("install cuBLAS"));

  const auto apart = cli::list_device_engines({"", {13000, 13000}, {device_at(0, "a", {}), device_at(1, "b", {})}});
  CHECK(apart[0].available);
  CHECK_FALSE(apart[1].available);
  CHECK_THAT(apart[1].reason, Contains("GPUs 0 and 1 do not reach each other's memory") && Contains("staged"));

  cli::Cuda together{"", {13000, 13000}, {device_at(0, "a", {1}), device_at(1, "b", {0})}};
  auto report = report_on_gpus({}, together);
  for (auto& each : cli::list_device_engines(together, "/nonexistent/libcublasLt.so")) report.engines.push_back(each);
  const auto engines = nlohmann::json::parse(to_json(report))["engines"];
  CHECK(engines["staged"] == nlohmann::json{{"available", true}});
  CHECK(engines["peer"] == nlohmann::json{{"available", true}});
  CHECK(engines["cublas_lt"]["available"] == false);
  CHECK_THAT(to_text(report), Contains("engine staged") && Contains("engine peer") &&
                                  Contains("engine cublas_lt not available: cublasLt"));
}

TEST_CASE("versions of CUDA and NCCL are told as people write them") {
  CHECK(cli::cuda_version(0) == "none");
  CHECK(cli::cuda_version(12080) == "12.8");
  CHECK(cli::nccl_version(22809) == "2.28.9");
  CHECK(cli::nccl_version(2804) == "2.8.4");
}

TEST_CASE("a library of NCCL that is none says why") {
  CHECK_THAT(cli::find_nccl("/nonexistent/libnccl.so.2").reason, Contains("/nonexistent/libnccl.so.2"));
  const auto other = cli::find_nccl("libc.so.6");
  CHECK(other.version == 0);
  CHECK_THAT(other.reason, Contains("libc.so.6 does not tell its version"));
}
